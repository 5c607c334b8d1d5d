package filelock

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Flocked reports whether somebody has a lock of flock(2) on a file, without taking one: whoever
// wants the lock meanwhile gets it. It does not see locks of other pid namespaces, nor those on
// file systems that show files another device number than they have, such as btrfs. A file that
// is not there has none.
func Flocked(path string) (bool, error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		if err == unix.ENOENT {
			return false, nil
		}
		return false, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return false, err
	}
	defer locks.Close()
	// proc_locks(5): "1: FLOCK ADVISORY WRITE 123 fe:00:456 0 EOF"; one that waits has "->" after
	// its number.
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev), stat.Ino)
	lines := bufio.NewScanner(locks)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 5 && fields[1] == "FLOCK" && fields[5] == file {
			return true, nil
		}
	}
	return false, lines.Err()
}
