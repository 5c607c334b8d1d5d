package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/creack/pty"
	"github.com/spf13/cobra"

	"banger"
)

// hostile is what a guest would like to have printed on a terminal: a title, a
// colour by a control of one character, an order of reading, a tag character.
const hostile = "x\x1b]0;owned\x07\u009b31m\u202e\u2066\x7f\r\U000e0001"

// hostileAll fills all text in a record with hostile, through pointers, lists and maps.
func hostileAll(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(hostile)
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		hostileAll(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() && f.Type() != reflect.TypeFor[time.Time]() {
				hostileAll(f)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(hostile + "\xff\n"))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		hostileAll(v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		hostileAll(key)
		hostileAll(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	}
}

func hostileRecord[T any]() (record T) {
	hostileAll(reflect.ValueOf(&record).Elem())
	return record
}

// hostileFake returns a backend all of whose words are a guest's.
func hostileFake() *fake {
	x := hostileRecord[banger.Session]()
	x.ExitCode, x.ExitSignal, x.EndedBy = nil, "", banger.EndedByLaunch
	return &fake{
		vms: []banger.VM{hostileRecord[banger.VM]()}, sessions: []banger.Session{x},
		images: []banger.Image{hostileRecord[banger.Image]()}, kernels: []banger.Kernel{hostileRecord[banger.Kernel]()}, checks: []banger.Check{hostileRecord[banger.Check]()}, disk: hostileRecord[banger.DiskUsage](),
		events: []banger.Event{
			{Revision: 1, Kind: hostile, VM: new(hostileRecord[banger.VM]())},
			{Revision: 2, Kind: hostile, Session: &x},
			{Revision: 3, Kind: hostile, Image: new(hostileRecord[banger.Image]())},
		},
		chunks: []banger.LogChunk{
			{Stream: banger.StreamStdout, Data: []byte(hostile + "\xe2\x82")}, {Stream: banger.StreamStderr, Data: []byte(hostile)},
			{Stream: banger.StreamStdout, Gap: 7, Reason: hostile},
		},
		progress:     []banger.BuildProgress{hostileRecord[banger.BuildProgress]()},
		pulls:        []banger.PullProgress{hostileRecord[banger.PullProgress](), {Stage: hostile, Layer: 1}},
		prunedImages: hostileRecord[banger.ImagePruneResult](),
		results:      []banger.SearchResult{{Hit: new(hostileRecord[banger.SearchHit]())}, {Failure: new(hostileRecord[banger.SearchFailure]())}},
		pruned:       hostileRecord[banger.PruneResult](),
		trash:        []banger.Trashed{hostileRecord[banger.Trashed](), {Path: hostile, Why: hostile}},
	}
}

// commandLines has for each command how it is called; those that a line is missing for
// fail the test. vm ssh becomes the user's ssh, which is a terminal's own business.
var commandLines = map[string][]string{
	"cp":              {"v:/x /nonexistent/x", "/dev v:/x", "- v:/x"},
	"daemon run":      {""},
	"daemon status":   {"", "--json"},
	"daemon stop":     {""},
	"df":              {"", "-v", "--json"},
	"doctor":          {"", "--json"},
	"exec":            {"v true", "-t v true", "-d v true"},
	"events":          {"--since 0", "--since 0 --json"},
	"image build":     {"x"},
	"image delete":    {"x"},
	"image import":    {"x", "x --json"},
	"image list":      {"", "--json"},
	"image prune":     {"", "--dry-run --json"},
	"image pull":      {"127.0.0.1:1/x", "127.0.0.1:1/x --json"},
	"image show":      {"x", "x --json"},
	"image tag":       {"x y", "x y --json"},
	"kernel delete":   {"x"},
	"kernel list":     {"", "--json"},
	"kernel prune":    {"", "--dry-run --json"},
	"kernel pull":     {"x", "x --json"},
	"ps":              {"", "v", "--json"},
	"run":             {"-- true", "--tty=false -- true"},
	"session attach":  {"v s"},
	"session delete":  {"v s"},
	"session inspect": {"v s", "v s --json"},
	"session kill":    {"v s", "v s --json"},
	"session list":    {"", "v", "--json"},
	"session logs":    {"v s", "v s --json", "v s --timestamps", "v s --grep x"},
	"session prune":   {"--keep 1", "--keep 1 --json"},
	"session search":  {"x", "x --json"},
	"session send":    {"v s --data x", "v s --data x --json", "v s --data x --then-wait-match x --json"},
	"session show":    {"v s", "v s --json"},
	"session signal":  {"v s HUP"},
	"session start":   {"v -- true", "v --json -- true", "v --attach -- true"},
	"session stop":    {"v s", "v s --json"},
	"session wait":    {"v s", "v s --json", "v s --match x"},
	"shell":           {"v", "v true"},
	"ssh-config":      {""}, // with an option it changes the files of whoever runs this test
	"ssh-known-hosts": {"v.banger v.banger"},
	"ssh-proxy":       {"v.banger"},
	"up":              {"x", "--name v", "--name w x --json"},
	"version":         {"", "--json"},
	"vm add":          {"x --ssh h"},
	"vm console-log":  {"v", "v --json"},
	"vm create":       {"x", "x --start"},
	"vm delete":       {"v"},
	"vm gc":           {"", "--dry-run", "--json"},
	"vm list":         {"", "--json"},
	"vm rename":       {"v w"},
	"vm restart":      {"v"},
	"vm set":          {"v --autostart"},
	"vm show":         {"v", "v --json"},
	"vm ssh":          nil,
	"vm start":        {"v"},
	"vm stop":         {"v"},
	"vm unlock":       {"v"},
}

func TestEveryCommand_PrintsNothingRawOnATerminal(t *testing.T) {
	root, _ := (&CLI{Backend: &fake{}}).rootCommand()
	var paths []string
	eachCommand(root, "", func(path string) { paths = append(paths, path) })
	if len(paths) < 30 {
		t.Fatalf("found only the commands %q", paths)
	}
	for _, path := range paths {
		lines, ok := commandLines[path]
		if !ok {
			t.Errorf("banger %s: the table has no line of it", path)
		}
		for _, line := range lines {
			args := strings.Fields(path + " " + line)
			failing := hostileFake()
			failing.err = &banger.Error{Code: banger.CodeUnavailable, Message: hostile, Hint: hostile, Candidates: []string{hostile}}
			for _, f := range []*fake{hostileFake(), failing} {
				if got := onTerminal(t, f, args); rawControl.MatchString(got) || !utf8.ValidString(got) {
					t.Errorf("banger %q printed %q", args, got)
				}
			}
		}
	}
}

// rawControl finds what no command may print: controls but line ends, tabs and what a
// progress bar is made of (which ends its lines itself), and format characters.
var rawControl = regexp.MustCompile(`[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x{9f}\x{202a}-\x{202e}\x{2066}-\x{2069}\x{e0000}-\x{e007f}]|\x1b[^\[]|\x1b\[[^AJ0-9]`)

func eachCommand(cmd *cobra.Command, path string, do func(path string)) {
	for _, sub := range cmd.Commands() {
		eachCommand(sub, strings.TrimSpace(path+" "+sub.Name()), do)
	}
	if !cmd.HasSubCommands() {
		do(path)
	}
}

// onTerminal returns what a terminal is given by a command whose outputs it is.
func onTerminal(t *testing.T, f *fake, args []string) string {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	shown := make(chan string, 1)
	go func() {
		data, _ := io.ReadAll(master) // ends with an input/output error when the other side is closed
		shown <- string(data)
	}()
	c := CLI{Version: "v1", Backend: f, Stdin: strings.NewReader(""), Stdout: slave, Stderr: slave}
	c.Run(t.Context(), args)
	slave.Close()
	return <-shown
}

func TestJSON_OnATerminalSaysTheSame(t *testing.T) {
	for _, text := range []string{hostile, "plain ünï 日本 👩‍👩‍👧", "\U000e0041\u2028<&>"} {
		shown := onTerminal(t, &fake{vms: []banger.VM{{Name: text}}}, []string{"vm", "list", "--json"})
		var vms []banger.VM
		if err := json.Unmarshal([]byte(shown), &vms); err != nil || vms[0].Name != text {
			t.Errorf("%q became %q, %v", text, shown, err)
		}
	}
}

func TestAttach_ToASessionWithoutATerminalIsHarmlessOnOne(t *testing.T) {
	l := newLive(t)
	script := fmt.Sprintf(`printf '%%s' '%s'; printf '\377'`, strings.ReplaceAll(hostile, "\r", ""))
	l.sh("rude", "read line; "+script, nil)
	c := l.startOnTerminal(24, 80, "session", "attach", "dev", "rude")
	fmt.Fprint(c.stdin, "go\n")
	if status := c.wait(); status != 0 {
		t.Fatalf("exit status %d, stderr %q", status, c.stderr)
	}
	c.until(`^[]0;owned^G\u009b31m\u202e\u2066^?\ue0001\xff`)
	raw := l.startOnTerminal(24, 80, "session", "attach", "dev", "rude", "--from", "start", "--raw")
	if status := raw.wait(); status != 0 {
		t.Fatalf("exit status %d, stderr %q", status, raw.stderr)
	}
	raw.until("x\x1b]0;owned\x07")
}

func TestCompletion_OffersOnlyWhatNeedsNoQuoting(t *testing.T) {
	names := []string{"dev", "a-b_c.d+e@f:1", "$(touch x)", "`x`", "a b", "a;b", "a'b", `a"b`, "a\\b", "a|b", "a&b", "a>b", "~x", "#x", "a*b", "a?b", "a[b", "a{b", "!x", "a\tb", "a\u202eb", "日本", "-x"}
	f := &fake{running: true}
	for _, name := range names {
		f.vms = append(f.vms, banger.VM{Name: name})
	}
	got := strings.Fields(f.must(t, "__complete", "vm", "show", ""))
	got = slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, ":") })
	want := map[string]bool{"dev": true, "a-b_c.d+e@f:1": true, "日本": true}
	for _, name := range got {
		if !want[name] {
			t.Errorf("offered %q", name)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("did not offer %q", slices.Collect(maps.Keys(want)))
	}
}
