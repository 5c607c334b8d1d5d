package pid1

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// timeline holds when the steps of a boot ended, on the clock that counts from
// the start of the kernel.
type timeline []step

type step struct {
	name string
	end  time.Duration // since the kernel started
}

// mark records that a step has ended now.
func (t *timeline) mark(name string) {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) // cannot fail for this clock
	*t = append(*t, step{name, time.Duration(now.Nano())})
}

// String reports how long each step took and how long all took after the first,
// which is the kernel's and must be there.
func (t timeline) String() string {
	var steps []string
	last := time.Duration(0)
	for _, s := range t {
		steps = append(steps, fmt.Sprintf("%s %d ms", s.name, (s.end-last).Milliseconds()))
		last = s.end
	}
	return fmt.Sprintf("%d ms after the kernel (%s)", (last - t[0].end).Milliseconds(), strings.Join(steps, ", "))
}
