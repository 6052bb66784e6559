//go:build !noservers

package consumers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/strait-cdc/strait/internal/testenv"
)

// python is the interpreter of a virtual environment with the packages of
// requirements.txt. The first run makes it; its name tells what is in it.
func python(t *testing.T) string {
	t.Helper()
	wanted, err := os.ReadFile("requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	base, version := systemPython(t)
	cache, err := testenv.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "python", fmt.Sprintf("%x", sha256.Sum256([]byte(version+"\n"+string(wanted))))[:16])
	if err := makeEnvironment(t.Context(), base, dir); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "bin", "python")
}

// systemPython is a Python that can make virtual environments, and what it is.
func systemPython(t *testing.T) (path, version string) {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		out, err := exec.CommandContext(t.Context(), name, "-c", "import venv, ensurepip, sys; print(sys.executable, sys.version)").Output()
		if err == nil {
			return name, string(out)
		}
	}
	t.Fatal("no Python with the module venv; install it with: deploy/dev/servers.sh python (make servers installs all)")
	return "", ""
}

// makeEnvironment makes dir, unless it exists. Test binaries that come at the same
// time wait for the first one; an environment that was not finished never gets its
// name.
func makeEnvironment(ctx context.Context, base, dir string) (err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".making-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	env := filepath.Join(tmp, "env")
	pip := []string{filepath.Join(env, "bin", "python"), "-m", "pip", "--disable-pip-version-check"}
	for _, argv := range [][]string{
		{base, "-m", "venv", env},
		append(pip, "install", "--quiet", "--no-deps", "--only-binary", ":all:", "-r", "requirements.txt"),
		append(pip, "check"),
	} {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, out)
		}
	}
	return os.Rename(env, dir)
}

// readWithPython gives what confluent-kafka reads from topics, by topic and in the
// order in which it came.
func readWithPython(t *testing.T, interpreter, brokers, registry, group string, topics []string) map[string][]record {
	t.Helper()
	order, err := json.Marshal(map[string]any{"brokers": brokers, "registry": registry, "group": group, "topics": topics})
	if err != nil {
		t.Fatal(err)
	}
	out := run(t, bytes.NewReader(order), interpreter, "read.py")
	got := map[string][]record{}
	for lines := json.NewDecoder(bytes.NewReader(out)); ; {
		var r struct {
			Topic string `json:"topic"`
			record
		}
		if err := lines.Decode(&r); errors.Is(err, io.EOF) {
			return got
		} else if err != nil {
			t.Fatalf("%v in what Python printed: %s", err, out)
		}
		got[r.Topic] = append(got[r.Topic], r.record)
	}
}

// run gives what a command prints; it must succeed within a minute.
func run(t *testing.T, input io.Reader, argv ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, why bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &out, &why
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s\n%s", strings.Join(argv, " "), err, &why, &out)
	}
	return out.Bytes()
}
