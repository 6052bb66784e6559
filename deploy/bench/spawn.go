package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"
)

// strait runs a task in a child.
func (b *bench) strait(ctx context.Context, t task) (sample, error) {
	dir, err := b.tempDir()
	if err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(dir)
	t.Dir = filepath.Join(dir, "broker")
	if folder := os.Getenv("STRAIT_BENCH_PROFILES"); folder != "" {
		t.Profile = filepath.Join(folder, t.System+".cpu")
	}
	self, err := os.Executable()
	if err != nil {
		return sample{}, err
	}
	in, err := json.Marshal(t)
	if err != nil {
		return sample{}, err
	}
	var out, why bytes.Buffer
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), childVariable+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &why
	if err := cmd.Run(); err != nil {
		return sample{}, fmt.Errorf("strait's part: %w: %s", err, strings.TrimSpace(why.String()))
	}
	var a answer
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		return sample{}, fmt.Errorf("strait's part: %w: %s", err, out.String())
	}
	return newSample(t.Rows, a.Took, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), a.Peak), nil
}

// peer runs a program that does the same for the same rows.
func peer(ctx context.Context, rows int, env string, argv ...string) (sample, error) {
	var why bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env)
	cmd.Stderr = &why // its output goes to /dev/null
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return sample{}, fmt.Errorf("%s: %w: %s", filepath.Base(argv[0]), err, strings.TrimSpace(why.String()))
	}
	return newSample(rows, time.Since(began), cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), 0), nil
}

// profile starts a CPU profile if there is a file for it.
func profile(name string) (stop func(), err error) {
	if name == "" {
		return func() {}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}
