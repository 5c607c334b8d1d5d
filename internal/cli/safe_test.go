package cli

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestSafe_ShowsWhatATerminalWouldObey(t *testing.T) {
	for in, want := range map[string]string{
		"plain é 漢字 👩\u200d💻 a\u00a0b": "plain é 漢字 👩\u200d💻 a\u00a0b",
		"\x1b[2J\x07\x7f":              "^[[2J^G^?",
		"a\nb\tc\rd":                   "a^Jb^Ic^Md",
		"\u009b31m":                    `\u009b31m`,
		"\x9b\xff":                     `\x9b\xff`,
		"abc\u202edcba":                `abc\u202edcba`,
		"cut \xe2\x82":                 `cut \xe2\x82`,
		"\ufffd":                       "\ufffd",
		"\U000e0041":                   `\ue0041`,
		"":                             "",
	} {
		if got := safe(in); got != want {
			t.Errorf("safe(%q) = %q, want %q", in, got, want)
		}
	}
	if got := safeText("a\r\nb\tc\rd"); got != "a\r\nb\tc^Md" {
		t.Errorf("safeText keeps %q", got)
	}
}

func FuzzSafeWriter(f *testing.F) {
	f.Add([]byte("a\r\nb\x1b]0;x\a\xe2\x82\xac\xff\u202e\r"), uint8(3))
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		var pieces bytes.Buffer
		w := &safeWriter{to: &pieces}
		for rest := in; len(rest) > 0; {
			n := min(len(rest), int(step)+1)
			if k, err := w.Write(rest[:n]); k != n || err != nil {
				t.Fatal(k, err)
			}
			rest = rest[n:]
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		out := pieces.String()
		if whole := safeText(string(in)); out != whole {
			t.Fatalf("in pieces of %d: %q, at once: %q", int(step)+1, out, whole)
		}
		if !utf8.ValidString(out) {
			t.Fatalf("not UTF-8: %q", out)
		}
		for _, r := range strings.ReplaceAll(out, "\r\n", "\n") {
			if unicode.IsControl(r) && r != '\n' && r != '\t' {
				t.Fatalf("control character %q in %q", r, out)
			}
		}
	})
}

func FuzzSizeMiB(f *testing.F) {
	f.Add("512M")
	f.Fuzz(func(t *testing.T, text string) {
		var s, again sizeMiB
		if s.Set(text) != nil {
			return
		}
		if s <= 0 || again.Set(s.String()) != nil || again != s {
			t.Errorf("%q is %d, shown as %q, read as %d", text, s, s.String(), again)
		}
	})
}

func TestSize_TakesWholeNumbersWithAUnit(t *testing.T) {
	for text, want := range map[string]sizeMiB{
		"512M": 512, "2G": 2048, "2g": 2048, "1T": 1 << 20, "64MiB": 64, "1GiB": 1024, "1536m": 1536,
	} {
		var s sizeMiB
		if err := s.Set(text); err != nil || s != want {
			t.Errorf("%q is %d (%v), want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "512", "0M", "-1G", "1.5G", "G", "1K", "1MB", "1GG", "M1", "99999999999G", "2147483647T", "1G "} {
		var s sizeMiB
		if err := s.Set(text); err == nil {
			t.Errorf("%q is taken as %d MiB", text, s)
		}
	}
}
