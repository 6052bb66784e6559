//go:build !noservers

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// TestMain lets the test binary be the child that a measurement starts.
func TestMain(m *testing.M) {
	if isChild() {
		os.Exit(childMain())
	}
	os.Exit(m.Run())
}

// TestEveryPartRuns runs each part in its smallest form: that it runs is all it
// says, its figures mean nothing.
func TestEveryPartRuns(t *testing.T) {
	var out bytes.Buffer
	b, err := newBench(options{short: true, reps: 1}, &out)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	}()
	if err := b.run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, p := range parts {
		if !strings.Contains(out.String(), p.name+":") {
			t.Errorf("part %s did not run", p.name)
		}
	}
	t.Log("\n" + out.String())
}
