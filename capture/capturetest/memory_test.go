package capturetest

import "testing"

func TestMemory(t *testing.T) {
	Run(t, Harness{
		New:   func(t *testing.T) Database { return NewMemory() },
		NoDDL: true,
	})
}
