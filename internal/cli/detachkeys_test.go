package cli

import (
	"strings"
	"testing"
)

func TestDetachKeys_AreWhatTheirNamesSay(t *testing.T) {
	for text, want := range map[string]string{
		`ctrl-\`: "\x1c", "ctrl-p,ctrl-q": "\x10\x11", "ctrl-@": "\x00", "ctrl-]": "\x1d", "ctrl-_,q": "\x1fq", "": "", "~,.": "~.",
	} {
		var keys detachKeys
		if err := keys.Set(text); err != nil || string(keys) != want || keys.String() != text {
			t.Errorf("%q is %q, shown as %q, %v", text, keys, keys.String(), err)
		}
	}
	for _, text := range []string{",", "ctrl-", "ctrl-ab", "enter", "é", "ctrl-1", "a,,b", "\x01"} {
		if err := new(detachKeys).Set(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestDetachKeys_AreFoundHoweverTheyAreRead(t *testing.T) {
	for _, c := range []struct {
		keys, typed, passed string
		detach              bool
	}{
		{"\x1c", "abc", "abc", false},
		{"\x1c", "ab\x1ccd", "ab", true},
		{"", "ab\x1ccd", "ab\x1ccd", false},
		{"\x10\x11", "a\x10b", "a\x10b", false},
		{"\x10\x11", "a\x10\x10\x11b", "a\x10", true},
		{"\x10\x11", "a\x10", "a", false}, // the next byte tells
		{"aab", "aaab", "a", true},
		{"abac", "ababac", "ab", true},
		{"abac", "abab", "ab", false},
	} {
		whole, bytewise := keyFilter{keys: []byte(c.keys)}, keyFilter{keys: []byte(c.keys)}
		got, detach := whole.filter([]byte(c.typed))
		if string(got) != c.passed || detach != c.detach {
			t.Errorf("keys %q, typed %q: passed %q, detach %v", c.keys, c.typed, got, detach)
		}
		var parts strings.Builder
		for i := range len(c.typed) {
			pass, done := bytewise.filter([]byte{c.typed[i]})
			parts.Write(pass)
			if done {
				if !c.detach {
					t.Errorf("keys %q, typed %q bytewise: detached", c.keys, c.typed)
				}
				break
			}
		}
		if parts.String() != c.passed {
			t.Errorf("keys %q, typed %q bytewise: passed %q", c.keys, c.typed, parts.String())
		}
	}
}
