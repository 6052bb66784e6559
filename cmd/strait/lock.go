package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stateLock keeps a second process out of the state folder.
type stateLock struct {
	file *os.File
	dir  string
}

// errLocked says that another process holds the state folder.
var errLocked = errors.New("another strait is running with this state folder")

// lockState makes the state folder and takes it. The kernel gives the lock back
// when the process ends, however it ends.
func lockState(dir string) (*stateLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if err := flock(f); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("state folder %s: %w%s", dir, errLocked, holder(f))
		}
		return nil, fmt.Errorf("state folder %s: lock: %w", dir, err)
	}
	if err := writePID(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("state folder %s: %w", dir, err)
	}
	return &stateLock{f, dir}, nil
}

// flock takes the lock, and tries for a second: a process that is just being
// forked holds a copy of the file until it runs its own program.
func flock(f *os.File) (err error) {
	for range 20 {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	return err
}

func holder(f *os.File) string {
	b := make([]byte, 20)
	n, _ := f.ReadAt(b, 0)
	if pid := strings.TrimSpace(string(b[:n])); pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}

// Release removes run.json and gives the folder back.
func (l *stateLock) Release() error {
	err := os.Remove(filepath.Join(l.dir, "run.json"))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, l.file.Close())
}

// runInfo is state/run.json: where the running process can be reached.
type runInfo struct {
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`
	Brokers  []string  `json:"brokers"`
	Registry string    `json:"registry"`
	HTTP     string    `json:"http"`
}

// publish writes run.json.
func (l *stateLock) publish(info runInfo) error {
	b, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	file := filepath.Join(l.dir, "run.json")
	if err := os.WriteFile(file+".new", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	return nil
}

// runningProcess reads run.json of a process that is alive; nil: none is.
func runningProcess(dir string) (*runInfo, error) {
	f, err := os.Open(filepath.Join(dir, "lock"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		return nil, nil // nobody holds it; closing gives it back
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("state folder %s: %w", dir, err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "run.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("strait is just starting or stopping; try again")
	}
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	info := &runInfo{}
	if err := json.Unmarshal(b, info); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "run.json"), err)
	}
	return info, nil
}
