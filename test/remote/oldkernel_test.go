package remote

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"banger/internal/hosttest"
	"banger/test/oldkernel"
)

// What the server, the login shell and our script do needs no newer kernel either.
func TestRemote_HostsWithAnOldKernelOrAnOldFilterHaveSessions(t *testing.T) {
	newest, err := oldkernel.Newest414()
	if err != nil {
		t.Fatal(err)
	}
	for name, spec := range map[string]string{
		"Linux 4.14": oldkernel.Missing(newest),
		"a container whose filter does not know faccessat2": oldkernel.Refused(unix.SYS_FACCESSAT2, unix.EPERM),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			under := fmt.Sprintf("env %s='%s' %s", oldkernel.Variable, spec, os.Args[0])
			r := newRig(t, hosttest.SSHOptions{Under: under})
			r.mustAdd()
			r.start("cat", "cat; exit 3")
			r.converse("cat", 0, "one")
			r.send("cat", "two\n", true)
			if x := r.wait("cat"); x.ExitCode == nil || *x.ExitCode != 3 {
				t.Errorf("%+v", x.SessionState)
			}
			if got := r.log("cat"); got != "one\ntwo\n" {
				t.Errorf("the log is %q", got)
			}
		})
	}
}
