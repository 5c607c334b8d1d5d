package cli

import (
	"strings"
	"testing"
)

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
		{"\x1c", "a\x1b[A\x1bOP\x1b[1;5C\x1b[200~x\x1b[201~\xe6\xbc\xa2", "a\x1b[A\x1bOP\x1b[1;5C\x1b[200~x\x1b[201~\xe6\xbc\xa2", false},
		{"\x1c", "\x1b\x1c", "\x1b", true},
		{"\x1b", "a\x1b", "a", true},
		{"\x1c", "\x1b[92;5", "", false}, // the next byte tells
		{"\x1c", "\x1b[1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19;20;21;22;23;24;25;26;27u", "\x1b[1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19;20;21;22;23;24;25;26;27u", false},
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
		if got := parts.String(); got != c.passed && got != "\x1b"+c.passed { // an ESC alone is not kept back
			t.Errorf("keys %q, typed %q bytewise: passed %q", c.keys, c.typed, got)
		}
	}
}

func TestDetachKeys_AreKnownInEveryEncoding(t *testing.T) {
	for _, c := range []struct {
		keys, typed string
		detach      bool
	}{
		{"\x1c", "\x1b[92;5u", true},             // kitty
		{"\x1c", "\x1b[92;5:1u", true},           // pressed
		{"\x1c", "\x1b[92;5:2u", true},           // repeated
		{"\x1c", "\x1b[92;5:3u", false},          // let go
		{"\x1c", "\x1b[92;69u", true},            // caps lock
		{"\x1c", "\x1b[92;133u", true},           // num lock
		{"\x1c", "\x1b[92;197:1u", true},         // both
		{"\x1c", "\x1b[92:124;5u", true},         // with the key that shift makes
		{"\x1c", "\x1b[92:124:92;5:1;u", true},   // with its place, and no text
		{"\x1c", "\x1b[1078::92;5u", true},       // its place, in a layout that has other letters
		{"\x1c", "\x1b[92;7u", false},            // with alt
		{"\x1c", "\x1b[92;13u", false},           // with super
		{"\x1c", "\x1b[92;6u", false},            // with shift, that is another key
		{"\x1c", "\x1b[92u", false},              // without ctrl
		{"\x1c", "\x1b[27;5;92~", true},          // modifyOtherKeys
		{"\x1c", "\x1b[27;7;92~", false},         // with alt
		{"\x1c", "\x1b[220;43;28;1;8;1_", true},  // of Windows
		{"\x1c", "\x1b[220;43;28;0;8;1_", false}, // let go
		{"\x1f", "\x1b[45;6u", true},             // ctrl-_ is shift and minus
		{"\x1f", "\x1b[47:95;6u", true},          // or another key
		{"\x1f", "\x1b[27;6;95~", true},          // as xterm says it
		{"\x00", "\x1b[50;6u", true},             // ctrl-@
		{"\x00", "\x1b[32;5u", true},             // as ctrl-space
		{"\x1d", "\x1b[93;5u", true},             // ctrl-]
		{"\x01", "\x1b[97;5u", true},             // ctrl-a
		{"\x01", "\x1b[27;5;65~", true},          // with caps lock, as xterm says it
		{"\x01", "\x1b[97;6u", false},            // with shift
		{"\x10\x11", "\x1b[112;5u\x1b[113;5u", true},
		{"\x10\x11", "\x1b[57442;5u\x1b[112;5u\x1b[112;5:3u\x1b[57442;1:3u\x1b[57442;5u\x1b[113;5u", true}, // all of it told
		{"\x10\x11", "\x1b[112;5u\x11", true}, // one of each encoding
		{"\x10\x11", "\x1b[112;5ux\x1b[113;5u", false},
		{"~.", "\x1b[96:126;2;126u\x1b[96;1:3u\x1b[46;;46u", true},
		{"Q", "\x1b[113;2u", true},
		{"q", "\x1b[113;1:1u", true},
		{"q", "\x1b[113;2u", false},
		{"q", "\x1b[113;5u", false},
		{"\x09", "\x1b[9u", true},    // the tab key
		{"\x1c", "\x1b[M\x1c", true}, // what it ends in is not looked at
		{"\x1c", "\x1b[99999999999999999999;5u", false},
		{"\x1c", "\x1b[;u", false},
	} {
		for _, cut := range []bool{false, true} {
			f := keyFilter{keys: []byte(c.keys)}
			reads := []string{c.typed}
			if cut {
				reads = strings.Split(c.typed, "")
			}
			var pass []byte
			detach := false
			for i := 0; i < len(reads) && !detach; i++ {
				var more []byte
				more, detach = f.filter([]byte(reads[i]))
				pass = append(pass, more...)
			}
			if detach != c.detach {
				t.Errorf("keys %q, typed %q, bytewise %v: detach %v", c.keys, c.typed, cut, detach)
			}
			if !detach && string(append(pass, f.flush()...)) != c.typed {
				t.Errorf("keys %q, typed %q, bytewise %v: passed on %q", c.keys, c.typed, cut, pass)
			}
		}
	}
}

func TestDetachKeys_NothingIsKeptBackForEver(t *testing.T) {
	f := keyFilter{keys: []byte("\x1c")}
	if pass, _ := f.filter([]byte("\x1b")); string(pass) != "\x1b" || f.incomplete() {
		t.Errorf("of an ESC alone %q is passed on", pass)
	}
	if pass, _ := f.filter([]byte("[9")); len(pass) > 0 || !f.incomplete() {
		t.Errorf("of what may be a key %q is passed on", pass)
	}
	if pass := f.flush(); string(pass) != "[9" || f.incomplete() {
		t.Errorf("flushed: %q", pass)
	}
	if pass, detach := f.filter([]byte("2;5u\x1b[<0;1;1M")); string(pass) != "2;5u\x1b[<0;1;1M" || detach {
		t.Errorf("behind that: %q, %v", pass, detach)
	}
}
