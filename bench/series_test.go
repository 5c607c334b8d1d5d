package bench

import (
	"math"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// contender is one of the things that are compared. do does it once and returns what
// it took; n counts its rounds, to make names of.
type contender struct {
	name string
	do   func(b *testing.B, n int) time.Duration
	// every, if not 0, has it take part in one of so many rounds: it takes long.
	every int
}

// series is what a contender took, in the order in which it was measured: in
// nanoseconds, if the measure has no other unit.
type series struct {
	Peer    string    `json:"peer"`
	Samples []float64 `json:"samples"`
}

// alternate has all contenders do it in turn, in another order in each round, so that
// what else the machine does, and what one of them leaves behind, comes to each. One
// round before all others is not counted.
func alternate(b *testing.B, rounds int, contenders ...contender) []series {
	b.Helper()
	all := make([]series, len(contenders))
	orders := rand.New(rand.NewPCG(1, 2)) // the same in each run
	for n := range rounds + 1 {
		for _, at := range orders.Perm(len(contenders)) {
			c := contenders[at]
			if n > 0 && c.every > 0 && n%c.every != 0 {
				continue
			}
			if took := c.do(b, n); n > 0 {
				all[at].Samples = append(all[at].Samples, float64(took))
			}
			all[at].Peer = c.name
		}
	}
	return all
}

// perSecond turns what a number of bytes took into bytes per second.
func perSecond(all []series, bytes int) []series {
	for _, s := range all {
		for at, took := range s.Samples {
			s.Samples[at] = float64(bytes) / time.Duration(took).Seconds()
		}
	}
	return all
}

// quantile returns the smallest sample that q of all samples are not above.
func (s series) quantile(q float64) float64 {
	sorted := slices.Sorted(slices.Values(s.Samples))
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

func (s series) median() float64 { return s.quantile(0.5) }

// timed returns how long something takes that may not fail.
func timed(b *testing.B, do func() error) time.Duration {
	b.Helper()
	began := time.Now()
	if err := do(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

// itsOwnTime runs a program that measures itself and prints what it took, in nanoseconds.
func itsOwnTime(b *testing.B, command *exec.Cmd) time.Duration {
	b.Helper()
	out, err := command.Output()
	if err != nil {
		b.Fatal(err)
	}
	took, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(took)
}
