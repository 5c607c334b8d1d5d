//go:build interop

package interop

import (
	"path/filepath"
	"strings"
	"testing"
)

// git pushes to and clones from a repository in a VM, over banger vm ssh.
func TestInterop_GitPushesAndClonesOverVMSSH(t *testing.T) {
	tried(t, "git", debian(t, "git"), "push and clone with `GIT_SSH_COMMAND='banger vm ssh'`")
	p := newPlace(t)
	dir := sharedDir(t)
	p.Setenv("GIT_SSH_COMMAND", "banger vm ssh")
	p.Setenv("GIT_SSH_VARIANT", "ssh")
	p.Setenv("GIT_CONFIG_GLOBAL", "/dev/null")
	p.MustRun(t, "vm", "ssh", "v", "git", "init", "-q", "--bare", "-b", "main", "repo.git")
	git := func(args ...string) string {
		return p.run(dir, append([]string{"git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", "."}, args...)...)
	}
	git("init", "-q", "-b", "main", "one")
	script(t, filepath.Join(dir, "one", "program"), "echo "+strings.Repeat("x", 1<<20))
	git("-C", "one", "add", ".")
	git("-C", "one", "commit", "-q", "-m", "a program")
	git("-C", "one", "push", "-q", "v:repo.git", "main")
	git("clone", "-q", "v:repo.git", "two")
	if one, two := git("-C", "one", "rev-parse", "HEAD^{tree}"), git("-C", "two", "rev-parse", "HEAD^{tree}"); one != two {
		t.Errorf("cloned was %s, pushed %s", two, one)
	}
	git("-C", "two", "fsck", "--strict")
}
