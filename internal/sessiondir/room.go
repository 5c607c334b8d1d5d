package sessiondir

import (
	"os"

	"banger"
	"banger/internal/diskspace"
)

// The reserve is the last part of a disk, which logs leave to others: to what the
// user works on there, and to the exits of sessions. 64 MiB are enough for that on a
// large disk; of a small one more than a twentieth would be missed. lookEvery is after
// how much output the disk is looked at again: 500 sessions that all write do not come
// through a reserve of 64 MiB unseen.
const (
	reserveShare = 20
	minReserve   = 4 << 20
	maxReserve   = 64 << 20
	lookEvery    = 64 << 10
)

// leastKept is what a log may keep however little room there is. On a full disk a write
// can then take its place from the oldest, and banger.MinLogLimit are left.
const leastKept = 2*banger.MinLogLimit + 8<<10

// room is how a session's logs stand with the reserve of their disk.
type room struct {
	used int64    // bytes of output since the last look
	due  bool     // there is to be another
	most position // what each log may keep, now that the reserve is touched; 0: anything
	off  bool     // nothing can be given back anyway
}

// use counts output.
func (r *room) use(n int64) {
	r.used += n
	r.due = r.used >= lookEvery && !r.off
}

// look sees whether the disk of a log has less than its reserve. If so, the logs
// may keep no more than they have.
func (r *room) look(log *os.File, kept position) {
	r.used, r.due = 0, false
	disk, err := diskspace.OfFile(log)
	if err != nil {
		return
	}
	if disk.Free >= min(max(disk.Total/reserveShare, minReserve), maxReserve, disk.Total/2) {
		r.most = position{}
		return
	}
	for s := range r.most {
		if r.most[s] == 0 {
			r.most[s] = max(kept[s], leastKept)
		}
	}
}
