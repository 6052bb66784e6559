//go:build !noservers

package testenv_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strait-cdc/strait/internal/testenv"
)

// victimVariable makes this test binary a process that starts servers and waits
// to be killed.
const victimVariable = "STRAIT_TESTENV_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(victimVariable) != "" {
		beVictim()
	}
	os.Exit(m.Run())
}

func beVictim() {
	ctx := context.Background()
	pg, err := testenv.StartPostgres(ctx, "15", "")
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	maria, err := testenv.StartMariaDB(ctx, "")
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	// A session that is busy does not look whether its server is still there.
	go pg.DB().Exec("select count(*) from generate_series(1, 1000000000000)")
	for {
		var busy int
		err := pg.DB().QueryRow("select count(*) from pg_stat_activity where query like '%generate_series(1, 1%' and pid <> pg_backend_pid()").Scan(&busy)
		if err == nil && busy > 0 {
			break
		}
	}
	fmt.Println("folders:", pg.Socket, filepath.Dir(maria.Socket))
	select {} // until killed
}

func TestServersEndWithAKilledProcess(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	victim := exec.Command(self)
	victim.Env = append(os.Environ(), victimVariable+"=1")
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	words := strings.Fields(line)
	if len(words) != 3 || words[0] != "folders:" {
		_ = victim.Process.Kill()
		t.Fatalf("the process that starts servers said %q", line)
	}
	for _, dir := range words[1:] {
		if len(running(t, dir)) == 0 {
			t.Errorf("no server runs in %s before the kill", dir)
		}
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	for _, dir := range words[1:] {
		testenv.Eventually(t, 30*time.Second, func() error {
			if left := running(t, dir); len(left) > 0 {
				return fmt.Errorf("processes left: %v", left)
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				return fmt.Errorf("folder %s left (%v)", dir, err)
			}
			return nil
		})
	}
}

// running lists the processes that mention dir in their command line or work in it.
func running(t *testing.T, dir string) []string {
	t.Helper()
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range folders {
		cwd, _ := os.Readlink(filepath.Join(p, "cwd"))
		args, _ := os.ReadFile(filepath.Join(p, "cmdline"))
		if strings.HasPrefix(cwd, dir) || strings.Contains(string(args), dir) {
			found = append(found, filepath.Base(p)+" "+strings.ReplaceAll(string(args), "\x00", " "))
		}
	}
	return found
}
