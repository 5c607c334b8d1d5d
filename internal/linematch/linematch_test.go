package linematch

import (
	"regexp"
	"strings"
	"testing"

	"banger"
)

func TestMatcher_FindsTheSameHoweverTheOutputComes(t *testing.T) {
	const output = "one\r\ntwo words\nlast"
	for pattern, want := range map[string]struct {
		offset int64
		text   string
	}{
		"one$":     {100, "one"},
		"^two":     {105, "two"},
		"words$":   {109, "words"},
		"o w":      {107, "o w"},
		"last$":    {115, "last"},
		"e.*t":     {0, ""}, // never over the end of a line
		"^words":   {0, ""},
		`\bas`:     {0, ""},
		"wo(rds)?": {106, "wo"},
	} {
		for size := 1; size <= len(output); size++ {
			m := New(regexp.MustCompile(pattern), 100)
			var offset int64
			var text []byte
			for rest := output; rest != "" && text == nil; {
				n := min(size, len(rest))
				offset, text = m.Take([]byte(rest[:n]))
				rest = rest[n:]
			}
			if text == nil {
				offset, text = m.Finish()
			}
			if offset != want.offset || string(text) != want.text {
				t.Errorf("%s in pieces of %d: %q at %d, want %q at %d", pattern, size, text, offset, want.text, want.offset)
			}
		}
	}
}

func TestMatcher_BelievesALineWithoutEndOnlyWhatStands(t *testing.T) {
	for line, stands := range map[string]map[string]bool{
		"login: ": {"login:": true, "login: $": false, `login:\s`: true},
		"foo":     {"foo": true, `foo\b`: false, `foo\B`: false, "foo$": false},
	} {
		for pattern, want := range stands {
			_, text := New(regexp.MustCompile(pattern), 0).Take([]byte(line))
			if got := text != nil; got != want {
				t.Errorf("%q in the open line %q: %v", pattern, line, got)
			}
		}
	}
}

func TestMatcher_KeepsNoMoreOfALineThanItsBound(t *testing.T) {
	m := New(regexp.MustCompile("needle"), 0)
	for range 100 {
		if _, text := m.Take([]byte(strings.Repeat("x", 10_000))); text != nil {
			t.Fatalf("found %q", text)
		}
	}
	if len(m.line) > banger.MaxMatchLine {
		t.Errorf("%d bytes are kept", len(m.line))
	}
	if offset, text := m.Take([]byte("needle\n")); string(text) != "needle" || offset != 1_000_000 {
		t.Errorf("%q at %d", text, offset)
	}
}

func TestMatcher_GoesOnBehindAGapAsAtTheBeginningOfALine(t *testing.T) {
	m := New(regexp.MustCompile("^found$"), 0)
	if _, text := m.Take([]byte("not fou")); text != nil {
		t.Errorf("matched %q", text)
	}
	m.Skip(1000)
	if offset, text := m.Take([]byte("found\n")); string(text) != "found" || offset != 1000 {
		t.Errorf("behind the gap it matches %q at %d", text, offset)
	}
}
