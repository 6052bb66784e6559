package ops

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestServerSaysHowTheProcessIs(t *testing.T) {
	m, h := used(), NewHealth()
	s := &Server{Health: h, Metrics: m, Status: func() (Status, error) {
		st, err := m.Status([]string{"crm"}, nil)
		st.Pipeline = "default"
		return st, err
	}}
	l, err := Listen("127.0.0.1:0", s.Handler())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	base := "http://" + l.Addr()

	if code, _ := get(t, base+"/healthz"); code != 200 {
		t.Errorf("healthz: %d", code)
	}
	if code, _ := get(t, base+"/readyz"); code != 503 {
		t.Errorf("readyz without components: %d, want 503", code)
	}
	c, r := h.Component("capture crm"), h.Component("reconcile")
	c.Set(Running, "")
	r.Set(Waiting, "erp: connection refused")
	code, body := get(t, base+"/readyz")
	if code != 503 || !strings.Contains(body, "erp: connection refused") {
		t.Errorf("readyz with a failed loop: %d %s", code, body)
	}
	r.Set(Running, "")
	if code, body := get(t, base+"/readyz"); code != 200 {
		t.Errorf("readyz: %d %s", code, body)
	}
	if _, body := get(t, base+"/metrics"); !strings.Contains(body, `strait_commits_total{system="crm"} 1`) {
		t.Errorf("metrics:\n%s", body)
	}
	_, body = get(t, base+"/status")
	var st Status
	if err := json.Unmarshal([]byte(body), &st); err != nil || !st.Ready || st.Pipeline != "default" || st.Systems[0].Commits != 1 {
		t.Errorf("status: %v %s", err, body)
	}
}

func TestListenOnATakenAddressSaysWhatToDo(t *testing.T) {
	l, err := Listen("127.0.0.1:0", http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.Background())
	if _, err := Listen(l.Addr(), http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "choose another address") {
		t.Errorf("got %v", err)
	}
}
