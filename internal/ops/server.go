package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Server answers over HTTP how the process is:
//
//	/healthz  200 as long as the process answers
//	/readyz   200 when every component runs, else 503; JSON with each of them
//	/metrics  Prometheus
//	/status   JSON for a live view, see Status
type Server struct {
	Health  *Health
	Metrics *Metrics
	// Status gives the report of /status; its Ready and Components are filled here.
	Status func() (Status, error)
}

// Handler is the server's routes.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /status", s.status)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics.registry, promhttp.HandlerOpts{}))
	return mux
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	ready, parts := s.Health.Report()
	code := http.StatusOK
	if !ready {
		code = http.StatusServiceUnavailable
	}
	writeJSON(w, code, struct {
		Ready      bool              `json:"ready"`
		Components []ComponentReport `json:"components"`
	}{ready, parts})
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	st, err := s.Status()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	st.Ready, st.Components = s.Health.Report()
	writeJSON(w, http.StatusOK, st)
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // the client has gone; there is nobody to tell
}

// Listener serves HTTP until it is closed.
type Listener struct {
	server *http.Server
	addr   string
	done   chan error
}

// Listen serves h on addr (host:port; port 0 takes a free one).
func Listen(addr string, h http.Handler) (*Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("http: listen on %s: %w; choose another address in strait.yaml", addr, err)
	}
	l := &Listener{
		server: &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute},
		addr:   ln.Addr().String(),
		done:   make(chan error, 1),
	}
	go func() { l.done <- l.server.Serve(ln) }()
	return l, nil
}

// Addr is the address it listens on.
func (l *Listener) Addr() string { return l.addr }

// Close lets requests that are being answered finish, for as long as ctx allows,
// and waits for the server to end.
func (l *Listener) Close(ctx context.Context) error {
	err := l.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, l.server.Close())
	}
	if e := <-l.done; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}
