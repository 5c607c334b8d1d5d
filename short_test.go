package banger

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// longLaunches are launches that no event can have whole, and some that it can.
func longLaunches() map[string]Launch {
	many := make([]ByteString, 30_000)
	env := map[string]ByteString{}
	for i := range many {
		many[i] = ByteString(fmt.Sprint("word ", i))
		env[fmt.Sprintf("NAME_%05d", i)] = "a value that is nobody's business"
	}
	long := ByteString(strings.Repeat("ä", 100_000))
	return map[string]Launch{
		"plain":         {Command: "make", Args: []ByteString{"-j", "2"}, Cwd: "/src", Env: map[string]ByteString{"A": "secret", "B": ""}},
		"many words":    {Command: "x", Args: many, RequiredCommands: many},
		"long word":     {Command: "x", Args: []ByteString{"a b", long, "c"}, Cwd: "/" + long},
		"long command":  {Command: long, Args: []ByteString{"a"}, User: string(long)},
		"just too long": {Command: ByteString(strings.Repeat("x", maxShortCommandBytes)), Args: []ByteString{"a"}},
		"environment":   {Command: "x", Env: env},
		"no text":       {Command: "\xff\xfe", Args: []ByteString{"\xff"}},
	}
}

func TestShort_IsBoundedWithoutValuesAndShowsTheSameSummary(t *testing.T) {
	const most = 8 << 10 // JSON writes a byte of these in at most two
	for name, l := range longLaunches() {
		s := Session{ID: "i", Launch: l}
		short := s.Short()
		document, err := json.Marshal(short)
		if err != nil || len(document) > most || strings.Contains(string(document), "secret") || strings.Contains(string(document), "business") {
			t.Errorf("%s: %d bytes: %.300s, %v", name, len(document), document, err)
		}
		if diff := cmp.Diff(s.Summary(), short.Summary()); diff != "" {
			t.Errorf("%s: the summary changes (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(short, short.Short()); diff != "" {
			t.Errorf("%s: shortened again it changes (-want +got):\n%s", name, diff)
		}
		if whole := name == "plain" || name == "no text"; short.LaunchCut == whole {
			t.Errorf("%s: launch_cut is %v", name, short.LaunchCut)
		}
	}
	short := Session{Launch: longLaunches()["plain"]}.Short()
	if diff := cmp.Diff([]string{"A", "B"}, short.EnvNames); diff != "" || short.Env != nil || short.Cwd != "/src" || len(short.Args) != 2 {
		t.Errorf("%+v", short)
	}
}
