package linematch_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"banger"
	"banger/internal/linematch"
)

// filtered gives a text to a filter in pieces of some sizes, repeated, and returns
// what it picks. A piece's time is its offset in seconds.
func filtered(pattern, text string, sizes ...int) (picked []banger.LogChunk) {
	f := linematch.NewFilter(regexp.MustCompile(pattern), banger.StreamStderr, 100)
	for at, i := 0, 0; at < len(text); i++ {
		n := min(sizes[i%len(sizes)], len(text)-at)
		piece := banger.LogChunk{Stream: banger.StreamStderr, Offset: 100 + int64(at), Time: time.Unix(int64(at), 0), Data: []byte(text[at : at+n])}
		for line := range f.Lines(piece) {
			picked = append(picked, line)
		}
		at += n
	}
	for line := range f.Rest() {
		picked = append(picked, line)
	}
	return picked
}

func TestFilter_PicksWholeLinesWithTheirPlaceAndTime(t *testing.T) {
	const text = "one\ntwo\r\n\nthree\nfo\r\nlast"
	for pattern, want := range map[string]string{
		"o":        "one\n|two\r\n|fo\r\n",
		"o$":       "two\r\n|fo\r\n",
		"^t":       "two\r\n|three\n",
		"^$":       "\n",
		"st$":      "last",
		"nothing":  "",
		"(?i)LAST": "last",
	} {
		for size := 1; size <= len(text); size++ {
			var got []string
			for _, line := range filtered(pattern, text, size) {
				got = append(got, string(line.Data))
				at := int(line.Offset) - 100
				if !strings.HasPrefix(text[at:], string(line.Data)) || line.Time.Unix() != int64(at/size*size) || line.Stream != banger.StreamStderr {
					t.Errorf("%q in pieces of %d: %q at %d, %v", pattern, size, line.Data, at, line.Time.Unix())
				}
			}
			if text := strings.Join(got, "|"); text != want {
				t.Errorf("%q in pieces of %d picks %q, want %q", pattern, size, text, want)
			}
		}
	}
}

func TestFilter_HoldsNoMoreThanAPieceOfALine(t *testing.T) {
	long := strings.Repeat("x", banger.MaxMatchLine) + "needle" + strings.Repeat("y", 2*banger.MaxMatchLine) + "\n"
	picked := filtered("needle", long, 1000)
	if len(picked) != 1 || picked[0].Offset != 100+banger.MaxMatchLine || len(picked[0].Data) != banger.MaxMatchLine {
		t.Errorf("picked %d pieces", len(picked))
	}
	if all := filtered("", long, 1000); len(all) != 4 {
		t.Errorf("a line of %d bytes has %d pieces", len(long), len(all))
	}
}

func TestFilter_GoesOnBehindAGap(t *testing.T) {
	f := linematch.NewFilter(regexp.MustCompile("a"), banger.StreamStdout, 0)
	for range f.Lines(banger.LogChunk{Data: []byte("half a")}) {
		t.Error("a line without an end was picked")
	}
	var rest int
	for range f.Rest() {
		rest++
	}
	f.Skip(1000)
	for line := range f.Lines(banger.LogChunk{Data: []byte("b\na\n")}) {
		if line.Offset != 1002 {
			t.Errorf("picked at %d", line.Offset)
		}
		rest++
	}
	if rest != 2 || f.At() != 1004 {
		t.Errorf("%d lines were picked, and it stands at %d", rest, f.At())
	}
}

// TestFilter_ModelOfSplitLines compares it with a look at the whole text.
func TestFilter_ModelOfSplitLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("ab\n\r"))).Draw(t, "text")
		sizes := rapid.SliceOfN(rapid.IntRange(1, 9), 1, 4).Draw(t, "sizes")
		var want, got bytes.Buffer
		for line := range strings.Lines(text) {
			if strings.Contains(line, "ab") {
				want.WriteString(line)
			}
		}
		for _, line := range filtered("ab", text, sizes...) {
			got.Write(line.Data)
		}
		if want.String() != got.String() {
			t.Fatalf("picked %q, want %q", got.String(), want.String())
		}
	})
}
