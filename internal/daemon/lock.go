package daemon

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/gofrs/flock"

	"banger"
)

// lock makes sure that this is the only daemon of the installation. The kernel
// releases it when the process ends, however that happens.
func lock(path string) (*flock.Flock, error) {
	l := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	locked, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	if !locked {
		holder, _ := os.ReadFile(path) // only to say who; it may just be writing it
		return nil, banger.Errorf(banger.CodeExists, "cannot start daemon: one runs already with pid %s", strings.TrimSpace(string(holder))).
			WithHint("use it, or stop it first with: banger daemon stop")
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("cannot write %s: %w", path, err)
	}
	return l, nil
}
