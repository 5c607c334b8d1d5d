package pid1

import (
	"bytes"
	"log/slog"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// mounted is one line of /proc/self/mountinfo, proc(5).
type mounted struct{ target, fstype string }

// parseMountinfo returns the mounts in the order of mounting. Lines that it does
// not understand are left out.
func parseMountinfo(data []byte) []mounted {
	var list []mounted
	for line := range bytes.Lines(data) {
		fields := bytes.Fields(line)
		separator := slices.IndexFunc(fields, func(f []byte) bool { return string(f) == "-" })
		if separator < 6 || separator+1 >= len(fields) {
			continue
		}
		list = append(list, mounted{unescapeOctal(string(fields[4])), string(fields[separator+1])})
	}
	return list
}

// unescapeOctal undoes what the kernel does to blanks and backslashes in paths.
func unescapeOctal(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if code, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out = append(out, byte(code))
				i += 3
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// holdsData reports whether there is something to write out in a file system of
// that type.
func holdsData(fstype string) bool {
	switch fstype {
	case "proc", "sysfs", "devtmpfs", "devpts", "tmpfs", "ramfs", "rootfs", "mqueue", "cgroup2", "cgroup",
		"bpf", "debugfs", "tracefs", "securityfs", "configfs", "hugetlbfs", "pstore", "binfmt_misc", "autofs", "nsfs":
		return false
	}
	return true
}

// unmountAll writes all file systems out and makes them read-only, the last
// mounted first, so that they are clean on disk. Those that nothing holds are
// unmounted; the root and what it lies on cannot be.
func unmountAll(log *slog.Logger) {
	unix.Sync()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		log.Error("cannot unmount", "error", err)
		return
	}
	list := parseMountinfo(data)
	slices.Reverse(list)
	for _, m := range list {
		if !holdsData(m.fstype) {
			continue
		}
		err := unix.Mount("", m.target, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
		if m.target == "/" && err == nil {
			continue
		}
		if e := unix.Unmount(m.target, 0); e != nil && err != nil {
			log.Error("cannot make file system read-only", "path", m.target, "error", err)
		}
	}
}
