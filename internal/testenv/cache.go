package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// CacheDir names the folder of fetched servers: $STRAIT_SERVERS, else
// strait/servers in the user's cache folder. For root it is
// /var/cache/strait/servers, since the servers run as another user, who may not
// look into root's home. deploy/dev/servers.sh follows the same rule.
func CacheDir() (string, error) {
	if dir := os.Getenv("STRAIT_SERVERS"); dir != "" {
		return dir, nil
	}
	if os.Getuid() == 0 {
		return "/var/cache/strait/servers", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("where to keep servers: %w; set STRAIT_SERVERS to a folder", err)
	}
	return filepath.Join(dir, "strait", "servers"), nil
}

// missing is the error for a server that is not installed, with its cure.
func missing(what, path, name string) error {
	return fmt.Errorf("%s is not installed: no %s; install it with: deploy/dev/servers.sh %s (make servers installs all)",
		what, path, name)
}

// find gives the first of the paths that exists.
func find(what, name string, paths ...string) (string, error) {
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", missing(what, paths[0], name)
}

// templateForm changes when an initialisation here changes, so that older templates are
// not used.
const templateForm = "1"

// copyTemplate copies the initialised data folder called name to dst, making it by
// initialise the first time. Processes that come at the same time wait for the
// first; a folder that was not finished never gets its name.
func copyTemplate(ctx context.Context, name, dst string, initialise func(dir string) error) error {
	cache, err := CacheDir()
	if err != nil {
		return err
	}
	dir := filepath.Join(cache, "templates")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("template %s: %w", name, err)
	}
	template := filepath.Join(dir, fmt.Sprintf("%s-uid%d-%s", name, account().uid, templateForm))
	if err := makeTemplate(dir, template, initialise); err != nil {
		return fmt.Errorf("template %s: %w", name, err)
	}
	out, err := exec.CommandContext(ctx, "cp", "-a", "--reflink=auto", template, dst).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy template %s: %w: %s", name, err, out)
	}
	return nil
}

// makeTemplate makes template under a lock, unless it exists.
func makeTemplate(dir, template string, initialise func(dir string) error) error {
	lock, err := os.OpenFile(template+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if _, err := os.Stat(template); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	work, err := os.MkdirTemp(dir, "making-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := account().own(work); err != nil {
		return err
	}
	data := filepath.Join(work, "data")
	if err := initialise(data); err != nil {
		return err
	}
	return os.Rename(data, template)
}
