package banger_test

import (
	"strings"
	"testing"

	"banger"
)

func TestCommandLine_IsCutAtARune(t *testing.T) {
	launch := func(words ...string) banger.Launch {
		return banger.Launch{Command: banger.ByteString(words[0]), Args: banger.ByteStrings(words[1:])}
	}
	for _, c := range []struct {
		launch banger.Launch
		most   int
		want   string
	}{
		{launch("sh", "-c", "exit 3", "", "it's"), 0, `sh -c 'exit 3' '' 'it'\''s'`},
		{launch("sh", "-c", "exit 3"), 14, `sh -c 'exit 3'`},
		{launch("sh", "-c", "exit 3"), 13, `sh -c 'exi…`},
		{launch("echo", "äöü"), 10, "echo ä…"},
		{launch("echo", "äöü"), 11, "echo äöü"},
		{launch("echo", strings.Repeat("x", 100), "y"), 10, "echo xx…"},
	} {
		got := c.launch.CommandLine(c.most)
		if got != c.want || c.most > 0 && len(got) > c.most {
			t.Errorf("in %d bytes it is %q, not %q", c.most, got, c.want)
		}
	}
}

func TestSummary_IsTextWhateverTheArguments(t *testing.T) {
	x := banger.Session{Launch: banger.Launch{Command: "echo", Args: []banger.ByteString{"\xff", banger.ByteString(strings.Repeat("\xff", 2*banger.MaxCommandLineBytes))}}}
	line := x.Summary().CommandLine
	if !strings.HasPrefix(line, "echo \uFFFD \uFFFD") || len(line) > banger.MaxCommandLineBytes {
		t.Errorf("%d bytes: %q", len(line), line)
	}
}
