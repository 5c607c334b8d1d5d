package pid1

import (
	"fmt"
	"strings"
	"time"

	"banger/internal/process"
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
	now, _ := process.Uptime() // cannot fail for this clock
	*t = append(*t, step{name, now})
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
