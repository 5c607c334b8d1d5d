package remote

import (
	"errors"
	"os"
	"strings"
	"testing"

	"banger"
	"banger/internal/hosttest"
)

// noexecHome and so on are what a host's file systems are like.
const (
	noexecHome = `mount --bind "$home" "$home"; mount -o remount,bind,noexec "$home"`
	frozenHome = `mount --bind "$home" "$home"; mount -o remount,bind,ro "$home"`
	smallPlace = noexecHome + `; mount -t tmpfs -o size=64k,mode=1777 none /var/tmp`
)

// Each server is either used, whatever it lacks, or refused with the reason.
// docs/REMOTE.md has the table.
func TestRemote_ServersAndTheirQuirks(t *testing.T) {
	table, err := os.ReadFile("../../docs/REMOTE.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		hosttest.SSHOptions
		refused string // part of the error; "" if it is used
	}{
		"OpenSSH":                               {},
		"no SFTP":                               {SSHOptions: hosttest.SSHOptions{Lines: []string{"Subsystem sftp /nonexistent"}}},
		"no forwarding":                         {SSHOptions: hosttest.SSHOptions{Lines: []string{"DisableForwarding yes"}}},
		"one channel":                           {SSHOptions: hosttest.SSHOptions{Lines: []string{"MaxSessions 1"}}},
		"one channel, no forwarding":            {SSHOptions: hosttest.SSHOptions{Lines: []string{"MaxSessions 1", "DisableForwarding yes", "Subsystem sftp /nonexistent"}}},
		"a login shell that talks":              {SSHOptions: hosttest.SSHOptions{Setup: `printf 'echo welcome; echo here is >&2; printf "no newline"\n' > "$home/.bashrc"`, Lines: []string{"DisableForwarding yes"}}},
		"another shell":                         {SSHOptions: hosttest.SSHOptions{Shell: "/bin/dash"}},
		"a home without exec":                   {SSHOptions: hosttest.SSHOptions{Setup: noexecHome}},
		"a home that is read-only":              {SSHOptions: hosttest.SSHOptions{Setup: frozenHome}},
		"no home":                               {SSHOptions: hosttest.SSHOptions{Setup: `rm -rf "$home"`}},
		"no room in the first place":            {SSHOptions: hosttest.SSHOptions{Setup: smallPlace}},
		"a start-up file that starts a process": {SSHOptions: hosttest.SSHOptions{Setup: `echo '(sleep 60 &)' > "$home/.bashrc"`}},
		"a start-up file that reads":            {SSHOptions: hosttest.SSHOptions{Setup: `echo 'read -r answer; read -r another' > "$home/.bashrc"`, Lines: []string{"DisableForwarding yes"}}},
		"a start-up file with aliases":          {SSHOptions: hosttest.SSHOptions{Setup: `printf 'set -o posix; shopt -s expand_aliases\nalias exec="exec -a other" eval=false printf=false echo=false cat=false\n' > "$home/.bashrc"`}},
		"a start-up file that says much":        {SSHOptions: hosttest.SSHOptions{Setup: `echo 'seq 30000' > "$home/.bashrc"`}},
		"a mask that takes all rights":          {SSHOptions: hosttest.SSHOptions{Setup: `echo 'umask 777' > "$home/.bashrc"`}},
		"a PATH of few commands":                {SSHOptions: hosttest.SSHOptions{Setup: `mkdir -p "$home/bin"; ln -sf /bin/sh /bin/cat "$home/bin"; echo 'export PATH=~/bin' > "$home/.bashrc"`}},
		"limits too low for the agent":          {SSHOptions: hosttest.SSHOptions{Setup: `echo 'ulimit -v 300000' > "$home/.bashrc"`}, refused: "ulimit -a"},
		"the C shell":                           {SSHOptions: hosttest.SSHOptions{Shell: "/bin/tcsh"}},
		"fish":                                  {SSHOptions: hosttest.SSHOptions{Shell: "/usr/bin/fish"}},
		"zsh":                                   {SSHOptions: hosttest.SSHOptions{Shell: "/bin/zsh"}},
		"a home without room":                   {SSHOptions: hosttest.SSHOptions{Setup: `uid=$(stat -c %u "$home"); mount -t tmpfs -o size=24m,mode=700,uid=$uid none "$home"`}},
		"a restricted shell":                    {SSHOptions: hosttest.SSHOptions{Shell: "/bin/rbash"}, refused: "restricted"},
		"a shell of Python":                     {SSHOptions: hosttest.SSHOptions{Shell: "/usr/bin/python3"}, refused: "SyntaxError"},
		"a start-up file that ends the login":   {SSHOptions: hosttest.SSHOptions{Setup: `echo 'exit 3' > "$home/.bashrc"`}, refused: "start-up files that end the login"},
		"another shell at start":                {SSHOptions: hosttest.SSHOptions{Setup: `echo 'exec echo another shell' > "$home/.bashrc"`}, refused: "another shell"},
		"dropbear":                              {SSHOptions: hosttest.SSHOptions{Dropbear: true}},
		"a forced command":                      {SSHOptions: hosttest.SSHOptions{Lines: []string{"ForceCommand echo go away"}}, refused: `"go away"`},
		"an account without a shell":            {SSHOptions: hosttest.SSHOptions{Shell: "/usr/sbin/nologin"}, refused: "not available"},
		"nowhere to execute":                    {SSHOptions: hosttest.SSHOptions{Setup: noexecHome + `; for d in /var/tmp /tmp /dev/shm; do mount --bind $d $d; mount -o remount,bind,noexec $d; done`}, refused: "without noexec"},
		"nowhere to write":                      {SSHOptions: hosttest.SSHOptions{Setup: frozenHome + `; for d in /var/tmp /tmp /dev/shm; do mount --bind $d $d; mount -o remount,bind,ro $d; done`}, refused: "writable"},
		"an SSH server that lets no one in":     {SSHOptions: hosttest.SSHOptions{Lines: []string{"AllowUsers nobody"}}, refused: "no key was accepted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(string(table), "\n| "+name+" | ") {
				t.Error("docs/REMOTE.md does not have it in its table")
			}
			r := newRig(t, c.SSHOptions)
			err := r.add()
			if c.refused != "" {
				checkRefused(t, err, c.refused)
				if vms, err := r.ListVMs(t.Context()); err != nil || len(vms) != 0 {
					t.Errorf("a record is left: %+v, %v", vms, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r.start("cat", "cat; exit 3")
			r.converse("cat", 0, "one", "two")
			r.host.Restart()
			r.Client = r.host.Client()
			r.converse("cat", 8, "three")
			r.send("cat", "four\n", true)
			if x := r.wait("cat"); x.ExitCode == nil || *x.ExitCode != 3 {
				t.Errorf("%+v", x.SessionState)
			}
			if got := r.log("cat"); got != "one\ntwo\nthree\nfour\n" {
				t.Errorf("the log is %q", got)
			}
			if err := r.RemoveSession(t.Context(), "v", "cat", false); err != nil {
				t.Error(err)
			}
		})
	}
}

// checkRefused checks that an error tells the reason and the next step.
func checkRefused(t *testing.T, err error, reason string) {
	t.Helper()
	e, ok := errors.AsType[*banger.Error](err)
	if !ok || e.Hint == "" || !strings.Contains(e.Message+e.Hint, reason) {
		t.Errorf("%v; want %q and a hint", err, reason)
	}
}
