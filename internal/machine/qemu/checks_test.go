//go:build !unit

package qemu

import (
	"strings"
	"testing"

	"banger"
)

func TestCheckConfinement_SaysWhatIsLeftOpen(t *testing.T) {
	for version, want := range map[int]struct {
		status banger.CheckStatus
		says   string
	}{
		0: {banger.CheckWarn, "all files of this user"},
		1: {banger.CheckOK, "signal other programs"},
		7: {banger.CheckOK, "ssh-agent"},
		9: {banger.CheckOK, "files and sockets"},
	} {
		if c := checkConfinement(version); c.Status != want.status || !strings.Contains(c.Detail, want.says) {
			t.Errorf("Landlock %d: %+v, want %s and %q", version, c, want.status, want.says)
		}
	}
}
