package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the scripts run this very program under the name strait.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"strait": func() { os.Exit(Main()) }})
}

// TestScripts tells stories of the verbs that need no server.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
