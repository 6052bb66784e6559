//go:build !noservers

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/strait-cdc/strait/deploy/examples"
	"github.com/strait-cdc/strait/internal/ops"
	"github.com/strait-cdc/strait/internal/testenv"
	"github.com/strait-cdc/strait/transform"
)

// business is the example business on two private databases, with its own
// strait.yaml.
type business struct {
	crm, erp *testenv.Server
	cfg      *Config
	file     string
}

func newBusiness(t *testing.T, crm, erp *testenv.Server) *business {
	t.Helper()
	return newBusinessAt(t, crm, erp, crm.URL(), erp.URL())
}

// newBusinessAt reaches the databases by other addresses than their own.
func newBusinessAt(t *testing.T, crm, erp *testenv.Server, crmURL, erpURL string) *business {
	t.Helper()
	crm.Exec(t, examples.Schema("crm", crm.Kind)...)
	erp.Exec(t, examples.Schema("erp", erp.Kind)...)
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "mapping"), examples.Mapping()); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CRM_URL", crmURL)
	t.Setenv("ERP_URL", erpURL)
	b := &business{crm: crm, erp: erp, file: filepath.Join(dir, "strait.yaml")}
	text := `
http: 127.0.0.1:0
kafka: {embedded: {addr: "127.0.0.1:0"}, partitions: 2}
registry: {listen: "127.0.0.1:0"}
systems:
  crm: {url: "${CRM_URL}", status_every: 200ms}
  erp: {url: "${ERP_URL}", status_every: 200ms}
`
	if err := os.WriteFile(b.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.cfg, err = LoadConfig(b.file); err != nil {
		t.Fatal(err)
	}
	return b
}

// running is a strait run inside the test.
type running struct {
	cancel context.CancelFunc
	ended  chan struct{} // closed when run has returned err
	err    error
	log    *lockedBuffer
	info   runInfo
}

func (b *business) start(t *testing.T) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, ended: make(chan struct{}), log: &lockedBuffer{}}
	go func() {
		defer close(r.ended)
		r.err = b.cfg.run(ctx, slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelInfo})))
	}()
	t.Cleanup(func() {
		defer func() {
			cancel()
			<-r.ended
		}()
		if t.Failed() {
			_, status, _ := ask(r.info.HTTP + "/status")
			t.Logf("status:\n%s", status)
			t.Logf("log of strait run:\n%s", r.log.String())
		}
	})
	testenv.Eventually(t, 60*time.Second, func() error {
		select {
		case <-r.ended:
			t.Fatalf("strait run ended: %v\n%s", r.err, r.log.String())
		default:
		}
		info, err := runningProcess(b.cfg.State)
		if err != nil || info == nil {
			return fmt.Errorf("not running: %v", err)
		}
		r.info = *info
		code, body, err := ask(info.HTTP + "/readyz")
		if err != nil || code != http.StatusOK {
			return fmt.Errorf("not ready: %v %s", err, body)
		}
		return nil
	})
	return r
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	select {
	case <-r.ended:
		if r.err != nil {
			t.Errorf("strait run ended with: %v", r.err)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("strait run does not stop\n%s", r.log.String())
	}
}

// lockedBuffer takes the log of several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func ask(url string) (int, string, error) {
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func (b *business) verify(t *testing.T, wait time.Duration) *transform.VerifyReport {
	t.Helper()
	v, err := b.cfg.newVerification(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := v.until(t.Context(), wait)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRunKeepsTwoDatabasesInAgreement goes the whole way with every verb.
func TestRunKeepsTwoDatabasesInAgreement(t *testing.T) {
	pairs := []struct {
		name     string
		crm, erp func(testing.TB) *testenv.Server
	}{
		{"MariaDB and PostgreSQL 15", testenv.MariaDB, func(t testing.TB) *testenv.Server { return testenv.Postgres(t, "15") }},
		{"two PostgreSQL", func(t testing.TB) *testenv.Server { return testenv.Postgres(t, "18") }, func(t testing.TB) *testenv.Server { return testenv.Postgres(t, "15") }},
		{"PostgreSQL 18 and MySQL", func(t testing.TB) *testenv.Server { return testenv.Postgres(t, "18") }, testenv.MySQL},
	}
	for _, p := range pairs {
		t.Run(p.name, func(t *testing.T) { wholeWay(t, newBusiness(t, p.crm(t), p.erp(t))) })
	}
}

func wholeWay(t *testing.T, b *business) {
	noLeaks := goleak.IgnoreCurrent()
	b.crm.Exec(t,
		`insert into accounts (id, name, phone, email, vat_id, status) values ('00000000-0000-4000-8000-000000000001', 'Acme GmbH', '+49 30 1111111', 'office@acme.example', 'DE111', 'customer')`,
		`insert into accounts (id, name, vat_id, status) values ('00000000-0000-4000-8000-000000000002', 'Beta AG', 'DE222', 'customer')`)
	b.erp.Exec(t,
		`insert into debtor (name1, tel, mail, vat_no) values ('Acme GmbH', '+49301111111', 'office@acme.example', 'DE111')`,
		`insert into debtor (name1, vat_no) values ('Gamma KG', 'DE333')`)

	r := b.start(t)
	if rep := b.verify(t, 30*time.Second); rep.Bad() != 0 || rep.Counts[0].Pairs != 3 {
		t.Fatalf("after the first start: %s", report(t, rep))
	}

	// Both offices edit different fields of the same customer.
	b.crm.Exec(t, `update accounts set email = 'sales@acme.example' where id = '00000000-0000-4000-8000-000000000001'`)
	b.erp.Exec(t, `update debtor set tel = '+49302222222' where vat_no = 'DE111'`)
	if rep := b.verify(t, 30*time.Second); rep.Bad() != 0 {
		t.Fatalf("after edits on both sides: %s", report(t, rep))
	}
	b.holds(t, b.crm, `select count(*) from accounts where id = '00000000-0000-4000-8000-000000000001' and email = 'sales@acme.example' and phone like '%2222222'`)
	b.holds(t, b.erp, `select count(*) from debtor where vat_no = 'DE111' and mail = 'sales@acme.example' and tel like '%2222222'`)

	b.checkStatus(t, r)
	b.checkTail(t)
	if found := b.cfg.check(t.Context()); hasError(found) {
		t.Errorf("check: %+v", found)
	}
	r.stop(t)

	// What happens meanwhile is caught up with.
	b.crm.Exec(t, `update accounts set name = 'Acme Holding' where id = '00000000-0000-4000-8000-000000000001'`)
	if rep := b.verify(t, 0); rep.Bad() == 0 {
		t.Error("verify sees no difference while strait is stopped")
	}
	r = b.start(t)
	if rep := b.verify(t, 30*time.Second); rep.Bad() != 0 {
		t.Fatalf("after the second start: %s", report(t, rep))
	}
	b.holds(t, b.erp, `select count(*) from debtor where vat_no = 'DE111' and name1 = 'Acme Holding'`)
	r.stop(t)
	goleak.VerifyNone(t, noLeaks,
		goleak.IgnoreAnyFunction("github.com/go-sql-driver/mysql.(*mysqlConn).startWatcher.func1"), // of the test's own handles
		goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"))
}

// TestRunComesBackAfterAnOutage: a database that cannot be reached makes its loops
// wait and say why; when it is back, everything goes on by itself.
func TestRunComesBackAfterAnOutage(t *testing.T) {
	crm, erp := testenv.Postgres(t, "18"), testenv.Postgres(t, "15")
	proxy := testenv.Proxy(t, erp.Addr())
	b := newBusinessAt(t, crm, erp, crm.URL(), strings.Replace(erp.URL(), erp.Addr(), proxy.Addr(), 1))
	erp.Exec(t, `insert into debtor (name1, vat_no) values ('Gamma KG', 'DE333')`)
	r := b.start(t)
	if rep := b.verify(t, 30*time.Second); rep.Bad() != 0 {
		t.Fatalf("before the outage: %s", report(t, rep))
	}

	proxy.Refuse(true)
	proxy.Cut()
	testenv.Eventually(t, 30*time.Second, func() error {
		code, body, err := ask(r.info.HTTP + "/readyz")
		if err != nil || code != http.StatusServiceUnavailable || !strings.Contains(body, `"waiting"`) || !strings.Contains(body, proxy.Addr()) {
			return fmt.Errorf("readyz during the outage: %d %v %s", code, err, body)
		}
		return nil
	})
	if code, _, err := ask(r.info.HTTP + "/healthz"); code != http.StatusOK {
		t.Errorf("healthz during the outage: %d %v", code, err)
	}
	crm.Exec(t, `update accounts set name = 'Gamma Holding' where vat_id = 'DE333'`)
	erp.Exec(t, `update debtor set tel = '+49302222222' where vat_no = 'DE333'`)

	proxy.Refuse(false)
	if rep := b.verify(t, 45*time.Second); rep.Bad() != 0 {
		t.Fatalf("after the outage: %s", report(t, rep))
	}
	testenv.Eventually(t, 30*time.Second, func() error {
		if code, body, err := ask(r.info.HTTP + "/readyz"); code != http.StatusOK {
			return fmt.Errorf("readyz after the outage: %v %s", err, body)
		}
		return nil
	})
	b.holds(t, erp, `select count(*) from debtor where vat_no = 'DE333' and name1 = 'Gamma Holding' and tel like '%2222222'`)
	r.stop(t)
}

// holds fails unless the query counts one row.
func (b *business) holds(t *testing.T, s *testenv.Server, query string) {
	t.Helper()
	var n int
	if err := s.DB().QueryRow(query).Scan(&n); err != nil || n != 1 {
		t.Errorf("%s: %d rows, %v; want 1", query, n, err)
	}
}

func (b *business) checkStatus(t *testing.T, r *running) {
	t.Helper()
	testenv.Eventually(t, 10*time.Second, func() error {
		_, body, err := ask(r.info.HTTP + "/status")
		var st ops.Status
		if err = errors.Join(err, json.Unmarshal([]byte(body), &st)); err != nil {
			return err
		}
		toERP := ops.FlowStatus{}
		for _, f := range st.Flows {
			if f.Entity == "customer" && f.To == "erp" {
				toERP = f
			}
		}
		if !st.Ready || toERP.Applied < 2 || toERP.Fields < 1 || st.Systems[0].LagSeconds != 0 {
			return fmt.Errorf("status: %s", body)
		}
		return nil
	})
	if _, body, err := ask(r.info.HTTP + "/metrics"); err != nil || !strings.Contains(body, "strait_slot_retained_bytes") {
		t.Errorf("metrics: %v\n%s", err, body)
	}
}

func (b *business) checkTail(t *testing.T) {
	t.Helper()
	var out, errs bytes.Buffer
	topic := "crm." + b.cfg.Systems["crm"].Schema + ".accounts"
	if code := execute(t.Context(), []string{"topics", "-c", b.file}, &out, &errs); code != 0 || !strings.Contains(out.String(), topic) {
		t.Errorf("topics: exit %d\n%s%s", code, out.String(), errs.String())
	}
	out.Reset()
	if code := execute(t.Context(), []string{"tail", "-c", b.file, topic, "--from", "earliest", "-n", "2"}, &out, &errs); code != 0 {
		t.Fatalf("tail: exit %d\n%s", code, errs.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Errorf("tail -n 2 shows %d lines", len(lines))
	}
	for _, l := range lines {
		var rec struct {
			Op    string         `json:"op"`
			After map[string]any `json:"after"`
		}
		if err := json.Unmarshal([]byte(l), &rec); err != nil || rec.Op == "" || rec.After["name"] == nil {
			t.Errorf("tail: %v\n%s", err, l)
		}
	}
}

func hasError(found []finding) bool {
	for _, f := range found {
		if f.Level == levelError {
			return true
		}
	}
	return false
}

func report(t *testing.T, r *transform.VerifyReport) string {
	t.Helper()
	var b bytes.Buffer
	if err := printReport(&b, r, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
