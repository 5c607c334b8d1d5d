package e2e

import (
	"strings"
	"testing"
)

func TestExec_PassesStreamsAndStatusOfAMachinesCommandOn(t *testing.T) {
	i := sharedVM(t)
	const data = "through\x00\xff\n"
	r := i.Feed(t, strings.NewReader(data), "exec", "-i", vmName, "-e", "A=b", "-w", "/tmp", "--", "sh", "-c", "cat; echo $A $PWD >&2; exit 7")
	if r.Code != 7 || string(r.Stdout) != data || string(r.Stderr) != "b /tmp\n" {
		t.Errorf("exit status %d, stdout %q, stderr %q", r.Code, r.Stdout, r.Stderr)
	}
	refused(t, i, 127, []string{"no-such-command"}, "exec", vmName, "--", "no-such-command")
	refused(t, i, 126, []string{"/etc/passwd"}, "exec", vmName, "--", "/etc/passwd")
}

func TestShell_IsThatOfTheGuestsUser(t *testing.T) {
	i := sharedVM(t)
	if out := i.MustRun(t, "shell", vmName, "--", "echo $0 $HOME;", "shopt login_shell"); out != "-bash /root\nlogin_shell    \ton\n" {
		t.Errorf("it prints %q", out)
	}
}
