package shimclient

import (
	"os"
	"path/filepath"
	"testing"

	"banger/test/wait"
)

func TestStandby_ThatHasEndedIsNotTakenWithOrWithoutPidfds(t *testing.T) {
	stuck := filepath.Join(t.TempDir(), "stuck")
	if err := os.WriteFile(stuck, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, withPidfd := range map[string]bool{"with": true, "without, as before Linux 5.3": false} {
		t.Run(name, func(t *testing.T) {
			start := func(path string) *Standby {
				s, err := Start(path, "")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(s.Close)
				if !withPidfd && s.child.pidfd != nil {
					s.child.pidfd.Close()
					s.child.pidfd = nil
				}
				return s
			}
			if !start(stuck).Alive() {
				t.Error("one that runs has ended")
			}
			ended := start("/bin/true")
			wait.For(t, "its end", func() bool { return !ended.Alive() })
		})
	}
}
