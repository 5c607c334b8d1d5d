package lineage_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"banger"
	"banger/internal/lineage"
)

func at(n int64) *lineage.Point { return &lineage.Point{Stdout: n, Stderr: n / 2, Stdin: n / 3} }

// E began with the session; F, G and H come from E, and K from G.
func example() (e, f, g, h, k lineage.Line) {
	e = lineage.Line{{Epoch: "E"}}
	f = lineage.Line{{Epoch: "E"}, {Epoch: "F", Began: at(100)}}
	g = lineage.Line{{Epoch: "E"}, {Epoch: "G", Began: at(60)}}
	h = lineage.Line{{Epoch: "E"}, {Epoch: "H", Began: at(80)}}
	k = lineage.Line{{Epoch: "E"}, {Epoch: "G", Began: at(60)}, {Epoch: "K", Began: at(90)}}
	return e, f, g, h, k
}

func TestCheck_OnlyTheBranchAndItsAncestorsAreValidUpToTheirParting(t *testing.T) {
	e, f, g, h, k := example()
	for _, test := range []struct {
		own, of lineage.Line
		valid   bool
		common  int64 // where it is refused beyond, or refused at all
	}{
		{f, e, true, 100}, {g, e, true, 60}, {k, e, true, 60}, {k, g, true, 90},
		{e, f, false, 100}, {g, k, false, 90}, {f, g, false, 60}, {g, f, false, 60}, {h, k, false, 60}, {k, h, false, 60}, {h, f, false, 80},
		{k, lineage.Line{{Epoch: "unknown"}}, false, 0},
		{k, lineage.Line{{Epoch: "unknown"}, {Epoch: "E", Began: at(7)}}, false, 0},
	} {
		name := fmt.Sprintf("%s in %s", test.of.Epoch(), test.own.Epoch())
		want := &banger.Parting{Epoch: test.own.Epoch(), Stdout: test.common, Stderr: test.common / 2, Stdin: test.common / 3}
		if got := test.own.Check(test.of, *at(test.common)); test.valid && got != nil || !test.valid && (got == nil || *got != *want) {
			t.Errorf("%s at the parting: %+v", name, got)
		}
		for _, past := range []lineage.Point{{Stdout: test.common + 1}, {Stderr: test.common/2 + 1}, {Stdin: test.common/3 + 1}} {
			if got := test.own.Check(test.of, past); got == nil || *got != *want {
				t.Errorf("%s past the parting, at %v: %+v", name, past, got)
			}
		}
	}
	if got := k.Check(k, *at(1 << 60)); got != nil {
		t.Errorf("its own epoch: %+v", got)
	}
}

func TestCheck_WithoutAnEpochAPositionIsOfTheOneInWhichTheSessionBegan(t *testing.T) {
	_, _, _, _, k := example()
	if birth := k.Birth(); len(birth) != 1 || k.Check(birth, *at(60)) != nil || k.Check(birth, lineage.Point{Stdout: 61}) == nil {
		t.Errorf("of a session that began with E: %v", birth)
	}
	young := lineage.Line{{Epoch: "E"}, {Epoch: "G"}, {Epoch: "K", Began: at(90)}}
	if birth := young.Birth(); birth.Epoch() != "G" || young.Check(birth, *at(90)) != nil || young.Check(birth, *at(93)) == nil {
		t.Errorf("of one that began in G: %v", birth)
	}
	if got := young.Check(young[:1], lineage.Point{Stdout: 1}); got == nil || got.Stdout != 0 {
		t.Errorf("in E, it did not exist: %+v", got)
	}
	only := lineage.Line{{Epoch: "E"}}
	if got := only.Check(only.Birth(), *at(1 << 60)); got != nil {
		t.Errorf("of a VM that never parted: %+v", got)
	}
}

// branch is the model of an epoch: all that its session has written, and what it was
// when the epoch began.
type branch struct {
	line lineage.Line
	text []int // each byte ever written is another number
}

// A position that is accepted means the same bytes; what is common is as long as the model
// says, and nothing that an ancestor and its branch share is refused.
func TestCheck_AgreesWithAModelOfAllBytes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for range 50 {
		branches := []*branch{{line: lineage.Line{{Epoch: "0"}}}}
		written := 0
		write := func(b *branch) { written++; b.text = append(b.text, written) }
		for range 120 {
			b := branches[random.IntN(len(branches))]
			if random.IntN(3) > 0 {
				write(b)
				continue
			}
			// A fork of what is, or of an older snapshot: not older than the epoch itself.
			least := int64(0)
			if began := b.line[len(b.line)-1].Began; began != nil {
				least = began.Stdout
			}
			parted := least + random.Int64N(int64(len(b.text))-least+1)
			step := lineage.Step{Epoch: banger.Epoch(fmt.Sprint(len(branches))), Began: &lineage.Point{Stdout: parted}}
			child := &branch{line: append(b.line[:len(b.line):len(b.line)], step), text: append([]int(nil), b.text[:parted]...)}
			write(child)
			write(b)
			branches = append(branches, child)
		}
		for range 400 {
			compare(t, branches[random.IntN(len(branches))], branches[random.IntN(len(branches))], random)
		}
	}
}

func compare(t *testing.T, own, of *branch, random *rand.Rand) {
	t.Helper()
	same := 0
	for same < min(len(own.text), len(of.text)) && own.text[same] == of.text[same] {
		same++
	}
	ancestor := len(of.line) <= len(own.line) && own.line[len(of.line)-1].Epoch == of.line.Epoch()
	position := random.Int64N(int64(len(of.text)) + 1)
	refused := own.line.Check(of.line, lineage.Point{Stdout: position})
	switch {
	case (refused == nil) != (ancestor && position <= int64(same)):
		t.Errorf("position %d of epoch %s in %s, which have %d bytes in common: %+v", position, of.line.Epoch(), own.line.Epoch(), same, refused)
	case refused != nil && refused.Stdout != int64(same):
		t.Errorf("epochs %s and %s have %d bytes in common, not %d", of.line.Epoch(), own.line.Epoch(), same, refused.Stdout)
	}
}
