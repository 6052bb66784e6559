package registry

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// flaky answers some requests badly before or after they have done their work.
func flaky(h http.Handler, bad func(n int64) (work bool, status int)) (http.Handler, *atomic.Int64) {
	var n atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		work, status := bad(n.Add(1))
		if status == 0 {
			h.ServeHTTP(w, r)
			return
		}
		if work {
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
		w.WriteHeader(status)
	}), &n
}

func client(t *testing.T, url string) *Client {
	t.Helper()
	c, err := NewClient(url, ClientOptions{Pause: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClient(t *testing.T) {
	for _, work := range []bool{false, true} {
		log := &memLog{}
		h, n := flaky(open(t, log).Handler(), func(n int64) (bool, int) {
			if n%2 == 1 {
				return work, http.StatusServiceUnavailable
			}
			return false, 0
		})
		srv := httptest.NewServer(h)
		c := client(t, srv.URL+"/")
		id := register(t, c, "t/value", schemaA)
		for range 3 {
			if register(t, c, "t/value", schemaA) != id {
				t.Error("the id changes")
			}
			if got, err := c.Schema(context.Background(), id); err != nil || got != schemaA {
				t.Errorf("%q, %v", got, err)
			}
		}
		if n.Load() != 2 || len(log.records) != 1 {
			t.Errorf("%d requests, %d records", n.Load(), len(log.records))
		}
		other := client(t, srv.URL)
		if got, err := other.Schema(context.Background(), id); err != nil || got != schemaA {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := other.Schema(context.Background(), 4); !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v", err)
		}
		srv.Close()
	}
}

func TestClientGivesUp(t *testing.T) {
	h, n := flaky(http.NotFoundHandler(), func(int64) (bool, int) { return false, http.StatusBadGateway })
	srv := httptest.NewServer(h)
	defer srv.Close()
	if _, err := client(t, srv.URL).Register(context.Background(), "t", schemaA); err == nil || n.Load() != 5 {
		t.Errorf("%v after %d tries", err, n.Load())
	}
}

func TestClientIncompatible(t *testing.T) {
	b := open(t, &memLog{})
	srv := httptest.NewServer(b.Handler())
	defer srv.Close()
	register(t, b, "t-value", schemaA)
	_, err := client(t, srv.URL).Register(context.Background(), "t-value", schemaC)
	if err == nil || !strings.Contains(err.Error(), `PUT `+srv.URL+`/config/t-value {"compatibility":"NONE"}`) {
		t.Errorf("got %v", err)
	}
}

// TestPassword: it goes into the header and into no message.
func TestPassword(t *testing.T) {
	var auth atomic.Value
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		auth.Store(user + " " + password)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	base := strings.Replace(srv.URL, "http://", "http://me:s%40cret@", 1)
	_, err := client(t, base).Register(context.Background(), "t", schemaA)
	if auth.Load() != "me s@cret" {
		t.Errorf("sent %v", auth.Load())
	}
	srv.Close()
	c := client(t, base)
	c.opts.Tries = 1
	_, down := c.Register(context.Background(), "t", schemaA)
	_, bad := NewClient("ftp://me:s%40cret@host", ClientOptions{})
	_, worse := NewClient("http://me:s@cret%zz@host", ClientOptions{})
	for _, e := range []error{err, down, bad, worse} {
		if e == nil || strings.Contains(e.Error(), "cret") {
			t.Errorf("error %v", e)
		}
	}
}
