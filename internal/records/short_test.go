package records

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"banger"
)

// longLaunches are launches that no event can have whole, and some that it can.
func longLaunches() map[string]banger.Launch {
	many := make([]banger.ByteString, 30_000)
	env := map[string]banger.ByteString{}
	for i := range many {
		many[i] = banger.ByteString(fmt.Sprint("word ", i))
		env[fmt.Sprintf("NAME_%05d", i)] = "a value that is nobody's business"
	}
	long := banger.ByteString(strings.Repeat("ä", 100_000))
	return map[string]banger.Launch{
		"plain":         {Command: "make", Args: []banger.ByteString{"-j", "2"}, Cwd: "/src", Env: map[string]banger.ByteString{"A": "secret", "B": ""}},
		"many words":    {Command: "x", Args: many, RequiredCommands: many},
		"long word":     {Command: "x", Args: []banger.ByteString{"a b", long, "c"}, Cwd: "/" + long},
		"long command":  {Command: long, Args: []banger.ByteString{"a"}, User: string(long)},
		"just too long": {Command: banger.ByteString(strings.Repeat("x", maxShortCommandBytes)), Args: []banger.ByteString{"a"}},
		"environment":   {Command: "x", Env: env},
		"no text":       {Command: "\xff\xfe", Args: []banger.ByteString{"\xff"}},
	}
}

func TestShort_IsBoundedWithoutValuesAndShowsTheSameSummary(t *testing.T) {
	const most = 8 << 10 // JSON writes a byte of these in at most two
	for name, l := range longLaunches() {
		s := banger.Session{ID: "i", Launch: l}
		short := Short(s)
		document, err := json.Marshal(short)
		if err != nil || len(document) > most || strings.Contains(string(document), "secret") || strings.Contains(string(document), "business") {
			t.Errorf("%s: %d bytes: %.300s, %v", name, len(document), document, err)
		}
		if diff := cmp.Diff(s.Summary(), short.Summary()); diff != "" {
			t.Errorf("%s: the summary changes (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(short, Short(short)); diff != "" {
			t.Errorf("%s: shortened again it changes (-want +got):\n%s", name, diff)
		}
		if whole := name == "plain" || name == "no text"; short.LaunchCut == whole {
			t.Errorf("%s: launch_cut is %v", name, short.LaunchCut)
		}
	}
	short := Short(banger.Session{Launch: longLaunches()["plain"]})
	if diff := cmp.Diff([]string{"A", "B"}, short.EnvNames); diff != "" || short.Env != nil || short.Cwd != "/src" || len(short.Args) != 2 {
		t.Errorf("%+v", short)
	}
}
