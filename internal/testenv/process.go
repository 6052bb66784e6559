package testenv

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

//go:embed watchdog.sh
var watchdogScript string

// owner is the ordinary user that servers run as: database servers refuse root.
type owner struct {
	uid, gid int
	// change says that we are root and must become that user.
	change bool
}

// account chooses the owner: ourselves, or nobody when we are root.
var account = sync.OnceValue(func() owner {
	if os.Getuid() != 0 {
		return owner{uid: os.Getuid(), gid: os.Getgid()}
	}
	o := owner{uid: 65534, gid: 65534, change: true}
	if u, err := user.Lookup("nobody"); err == nil {
		o.uid, _ = strconv.Atoi(u.Uid)
		o.gid, _ = strconv.Atoi(u.Gid)
	}
	return o
})

// own makes a folder the servers' user's own.
func (o owner) own(dir string) error {
	if !o.change {
		return nil
	}
	return os.Chown(dir, o.uid, o.gid)
}

// reaches says whether the servers' user can get to dir: all folders above must let it pass.
func (o owner) reaches(dir string) error {
	if !o.change {
		return nil
	}
	for above := filepath.Dir(dir); above != "/"; above = filepath.Dir(above) {
		info, err := os.Stat(above)
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("the servers run as user %d, who may not enter %s; choose another folder or run: chmod o+x %s", o.uid, above, above)
		}
	}
	return nil
}

// attr starts a process as the owner, in a session of its own, so that a ^C in a
// terminal reaches only the test.
func (o owner) attr() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true}
	if o.change {
		a.Credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
	}
	return a
}

// environ is a small environment that does not carry the user's settings.
func environ(dir string, extra ...string) []string {
	env := []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + dir, "TMPDIR=" + dir, "LC_ALL=C", "TZ=UTC"}
	if home := os.Getenv("JAVA_HOME"); home != "" {
		env = append(env, "JAVA_HOME="+home)
	}
	return append(env, extra...)
}

// run runs a program to its end as the servers' user, in dir.
func run(ctx context.Context, dir string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = dir, environ(dir), account().attr()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(argv[0]), err, tail(out))
	}
	return nil
}

// process is a server's program and its watchdog.
type process struct {
	// dir is the working folder of all its processes, with links resolved.
	dir      string
	cmd      *exec.Cmd
	watchdog *exec.Cmd
	// leash is the pipe that ends the watchdog's waiting.
	leash io.WriteCloser
	// keep leaves dir behind.
	keep bool
}

// newProcess sets the watchdog for dir. polite is the signal it tries first.
func newProcess(dir string, polite syscall.Signal, keep bool) (*process, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	after := "remove"
	if keep {
		after = "keep"
	}
	w := exec.Command("/bin/sh", "-c", watchdogScript, "strait-watchdog", dir, strconv.Itoa(int(polite)), after)
	w.Dir, w.SysProcAttr = "/", &syscall.SysProcAttr{Setsid: true}
	leash, err := w.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := w.Start(); err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	return &process{dir: dir, watchdog: w, leash: leash, keep: keep}, nil
}

// start runs the server. There is no goroutine that waits for its end: whoever
// asks looks, so that a shared server leaks nothing in the eyes of goleak.
func (p *process) start(argv, env []string) error {
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = p.dir, environ(p.dir, env...), account().attr()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(argv[0]), err)
	}
	p.cmd = cmd
	return nil
}

func (p *process) logFile() string { return filepath.Join(p.dir, "server.log") }

// logTail gives the end of the server's log, for an error.
func (p *process) logTail() string {
	b, _ := os.ReadFile(p.logFile())
	return tail(b)
}

// alive says whether the server's main process runs: neither gone nor a zombie.
func (p *process) alive() bool {
	if p.cmd == nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return false
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	return len(rest) > 0 && rest[0] != 'Z'
}

// end stops the server by sig to its main process, and by SIGKILL to all of its
// processes when that took longer than patience. It returns when all are gone.
func (p *process) end(sig syscall.Signal, patience time.Duration) {
	if p.cmd == nil {
		return
	}
	if sig != syscall.SIGKILL {
		_ = p.cmd.Process.Signal(sig)
		for deadline := time.Now().Add(patience); p.alive() && time.Now().Before(deadline); {
			time.Sleep(5 * time.Millisecond)
		}
	}
	// The main process first: PostgreSQL's would start again what was killed.
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.cmd = nil
	for {
		pids := processesIn(p.dir)
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// close ends the server and its watchdog, and removes the folder.
func (p *process) close(sig syscall.Signal, patience time.Duration) error {
	p.end(sig, patience)
	err := p.leash.Close()
	_ = p.watchdog.Wait() // its status says nothing: it ended by itself
	if p.keep {
		return err
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}

// processesIn lists the processes whose working folder is dir or below, without
// those that have ended.
func processesIn(dir string) []int {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	var pids []int
	for _, link := range links {
		cwd, err := os.Readlink(link)
		if err != nil || cwd != dir && !strings.HasPrefix(cwd, dir+"/") {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(link, "/")[2]); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// freePort finds a port that nobody listens on. Someone may take it before the
// server does; then the start fails and is tried again with another.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// tail gives the last lines of a log.
func tail(log []byte) string {
	const most = 2000
	log = bytes.TrimSpace(log)
	if len(log) > most {
		log = log[len(log)-most:]
	}
	return string(log)
}
