package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Stat is what the kernel says of a process: the fields of /proc/PID/stat behind the
// second one, which is a name and may hold anything; proc(5).
type Stat [][]byte

// The first field of a Stat, and the last one that every kernel since Linux 2.6 has.
const (
	firstField = 3
	lastField  = 41
)

// ReadStat returns what is said of the process that has pid now. It fails with ErrGone if
// there is none.
func ReadStat(pid int) (Stat, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) { // it may end between open and read
		return nil, ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("cannot identify process %d: %w", pid, err)
	}
	stat := Stat(bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(stat) <= lastField-firstField {
		return nil, fmt.Errorf("cannot identify process %d: its stat has %d fields", pid, len(stat))
	}
	return stat, nil
}

// Field returns a field by its number in proc(5), 3 to 41.
func (s Stat) Field(number int) string { return string(s[number-firstField]) }

// Ended reports whether the process has ended, though nobody has reaped it.
func (s Stat) Ended() bool { return s.Field(3) == "Z" || s.Field(3) == "X" }
