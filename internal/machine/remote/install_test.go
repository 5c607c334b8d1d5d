package remote

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"banger"
)

// builds is a directory with programs, and how often it was asked for them.
type builds struct {
	dir   string
	asked int
}

func (b *builds) programs(goarch string) (Programs, error) {
	b.asked++
	p := Programs{Agent: filepath.Join(b.dir, goarch, "agent"), Shim: filepath.Join(b.dir, goarch, "shim")}
	_, err := os.Stat(p.Agent)
	return p, err
}

// newBuilds makes one with an agent and a shim for an architecture.
func newBuilds(t *testing.T, goarch, agent, shim string) *builds {
	t.Helper()
	b := &builds{dir: t.TempDir()}
	if err := os.Mkdir(filepath.Join(b.dir, goarch), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"agent": agent, "shim": shim} {
		if err := os.WriteFile(filepath.Join(b.dir, goarch, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestVersion_IsNamedByWhatBothProgramsAre(t *testing.T) {
	name := func(agent, shim string) string {
		b := newBuilds(t, "amd64", agent, shim)
		d := New(Config{Programs: b.programs})
		v, err := d.version("amd64")
		if err != nil || !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(v.name) {
			t.Errorf("%q, %q: name %q, %v", agent, shim, v.name, err)
		}
		if again, err := d.version("amd64"); err != nil || again != v || b.asked != 1 {
			t.Errorf("the second time: %+v, %v, after the files were asked for %d times", again, err, b.asked)
		}
		return v.name
	}
	one := name("agent", "shim")
	if name("agent", "shim") != one {
		t.Error("the same programs have another name")
	}
	for _, other := range [][2]string{{"agent2", "shim"}, {"agent", "shim2"}, {"shim", "agent"}, {"agentshim", ""}} {
		if name(other[0], other[1]) == one {
			t.Errorf("%q have the name of other programs", other)
		}
	}
}

// What sha256sum(1) says of the word "agent" is what the host compares.
func TestVersion_SumsAreThoseOfSHA256(t *testing.T) {
	v, err := New(Config{Programs: newBuilds(t, "amd64", "agent", "shim").programs}).version("amd64")
	if err != nil || v.agentSum != "d4f0bc5a29de06b510f9aa428f1eedba926012b591fef7a518e776a7c9bd1824" {
		t.Errorf("got %q, %v", v.agentSum, err)
	}
}

func TestVersion_ThatIsNotThereSaysHowToGetIt(t *testing.T) {
	b := newBuilds(t, "amd64", "agent", "shim")
	d := New(Config{Programs: b.programs})
	_, err := d.version("arm64")
	e, ok := err.(*banger.Error) //nolint:errorlint // it is returned as it is
	if !ok || e.Code != banger.CodeMissing || !strings.Contains(e.Message, "arm64") || !strings.Contains(e.Hint, "make build") {
		t.Errorf("got %v", err)
	}
	if err := os.Rename(filepath.Join(b.dir, "amd64"), filepath.Join(b.dir, "arm64")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.version("arm64"); err != nil {
		t.Errorf("when it is there: %v", err)
	}
}

func TestVersion_OfWhichAProgramCannotBeReadIsNotKept(t *testing.T) {
	b := newBuilds(t, "amd64", "agent", "shim")
	shim := filepath.Join(b.dir, "amd64", "shim")
	if err := os.Remove(shim); err != nil {
		t.Fatal(err)
	}
	d := New(Config{Programs: b.programs})
	if _, err := d.version("amd64"); err == nil || !strings.Contains(err.Error(), shim) {
		t.Errorf("without a shim: %v", err)
	}
	broken := New(Config{Programs: func(string) (Programs, error) { return Programs{}, fmt.Errorf("a bad disk: %w", fs.ErrInvalid) }})
	if _, err := broken.version("amd64"); err == nil || !strings.Contains(err.Error(), "a bad disk") {
		t.Errorf("with a bad disk: %v", err)
	}
	if err := os.WriteFile(shim, []byte("shim"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.version("amd64"); err != nil {
		t.Errorf("with a shim again: %v", err)
	}
}

func TestCommands_QuoteWhatTheHostHasSaid(t *testing.T) {
	c := commands("/p a/0123", "/s $b")
	want := "'/p a/0123/banger-agent' control --announce " + c.Announce + " --sessions-dir '/s $b/sessions' --shim '/p a/0123/banger-shim' --cgroup '/nonexistent'"
	if c.Control != want {
		t.Errorf("control is %s, want %s", c.Control, want)
	}
	want = "'/p a/0123/banger-agent' connect --announce " + c.Announce + " '/s $b/sessions/x/attach.sock'"
	if got := c.Connect("x"); got != want {
		t.Errorf("connect is %s, want %s", got, want)
	}
	if want = "'/p a/0123/banger-agent' copy --announce " + c.Announce; c.Copy != want {
		t.Errorf("copy is %s, want %s", c.Copy, want)
	}
	if other := commands("/p", "/s").Announce; other == c.Announce || len(other) < 30 {
		t.Errorf("the announcements %q and %q can be guessed", other, c.Announce)
	}
}
