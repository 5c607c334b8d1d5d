// Package lineage compares branches of a VM's life: whether a position in a session, which
// counts bytes of one epoch, means the same bytes in another (banger.Epoch). It does no I/O.
package lineage

import (
	"math"

	"banger"
)

// Point is a place in the three streams of a session, in bytes since the session began.
type Point struct{ Stdout, Stderr, Stdin int64 }

// whole is behind every position.
var whole = Point{math.MaxInt64, math.MaxInt64, math.MaxInt64}

// Min returns the earlier place, of each stream.
func (p Point) Min(q Point) Point {
	return Point{min(p.Stdout, q.Stdout), min(p.Stderr, q.Stderr), min(p.Stdin, q.Stdin)}
}

// Reaches reports whether q is not past p in any stream.
func (p Point) Reaches(q Point) bool { return p.Min(q) == q }

// Step is one epoch on the way from the first of a tree to another.
type Step struct {
	Epoch banger.Epoch
	// Began is where the epoch parted from the one before it, in one session; nil if the
	// session did not exist then, and for the first epoch.
	Began *Point
}

// began is the point up to which an epoch has what the one before it has.
func (s Step) began() Point {
	if s.Began == nil {
		return Point{}
	}
	return *s.Began
}

// Line is the way from the first epoch of a tree to another, as one session sees it. It is
// never empty.
type Line []Step

// Epoch returns the last one.
func (l Line) Epoch() banger.Epoch { return l[len(l)-1].Epoch }

// Birth returns the way to the epoch in which the session began.
func (l Line) Birth() Line {
	n := len(l)
	for n > 1 && l[n-1].Began != nil {
		n--
	}
	return l[:n]
}

// common returns the point up to which two epochs have the same bytes of the session, and
// whether of is on the way to l: only then may a position of of, not past the point, be
// used in l.
func (l Line) common(of Line) (at Point, ancestor bool) {
	same := 0
	for same < len(l) && same < len(of) && l[same].Epoch == of[same].Epoch {
		same++
	}
	if same == 0 {
		return Point{}, false
	}
	at = whole
	for _, rest := range []Line{l[same:], of[same:]} {
		for _, s := range rest {
			at = at.Min(s.began())
		}
	}
	return at, same == len(of)
}

// Check refuses a position of the epoch of unless it means the same bytes in l. The result
// is nil, or where the two epochs have parted.
func (l Line) Check(of Line, position Point) *banger.Parting {
	at, ancestor := l.common(of)
	if ancestor && at.Reaches(position) {
		return nil
	}
	return l.parting(at)
}

// Parting returns where the two epochs have parted.
func (l Line) Parting(of Line) *banger.Parting {
	at, _ := l.common(of)
	return l.parting(at)
}

func (l Line) parting(at Point) *banger.Parting {
	return &banger.Parting{Epoch: l.Epoch(), Stdout: at.Stdout, Stderr: at.Stderr, Stdin: at.Stdin}
}
