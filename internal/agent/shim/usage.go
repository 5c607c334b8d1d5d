package shim

import (
	"sync"

	"golang.org/x/sys/unix"

	"banger"
)

// meter reports what the processes of a session have used. Safe for concurrent use.
type meter struct {
	mu    sync.Mutex   // guards the fields below
	group *cgroup      // nil without one
	final banger.Usage // when the group is not asked any more
	over  bool
}

// read returns the usage until now. Without a cgroup, or where one does not count
// it, only the processes count that have ended; getrusage(2), RUSAGE_CHILDREN.
func (m *meter) read() banger.Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over {
		return m.final
	}
	var u banger.Usage
	if m.group != nil {
		u = m.group.usage()
	}
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &r); err != nil {
		return u
	}
	if u.CPUTimeUS == 0 {
		u.CPUTimeUS = (r.Utime.Nano() + r.Stime.Nano()) / 1000
	}
	if u.MemoryPeakBytes == 0 {
		u.MemoryPeakBytes = r.Maxrss << 10
	}
	return u
}

// finish reads for the last time: the group may be removed then.
func (m *meter) finish() banger.Usage {
	u := m.read()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.final, m.over = u, true
	return u
}
