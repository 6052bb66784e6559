package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStateFolderIsForOneProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if info, err := runningProcess(dir); info != nil || err != nil {
		t.Fatalf("before the first start: %v, %v", info, err)
	}
	first, err := lockState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockState(dir); !errors.Is(err, errLocked) || !strings.Contains(err.Error(), "(process ") {
		t.Errorf("second lock: %v", err)
	}
	if _, err := runningProcess(dir); err == nil || !strings.Contains(err.Error(), "just starting") {
		t.Errorf("before run.json is written: %v", err)
	}
	if err := first.publish(runInfo{PID: os.Getpid(), Brokers: []string{"127.0.0.1:9092"}}); err != nil {
		t.Fatal(err)
	}
	if info, err := runningProcess(dir); err != nil || info.Brokers[0] != "127.0.0.1:9092" {
		t.Errorf("while it runs: %v, %v", info, err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	if info, err := runningProcess(dir); info != nil || err != nil {
		t.Errorf("after it has ended: %v, %v", info, err)
	}
	again, err := lockState(dir)
	if err != nil {
		t.Fatalf("lock again: %v", err)
	}
	if err := again.Release(); err != nil {
		t.Error(err)
	}
}
