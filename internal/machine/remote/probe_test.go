//go:build !unit

package remote

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"banger"
)

const mark = "banger-MARK"

func TestFindings_AreTheMarkedLinesAmongNoise(t *testing.T) {
	all := findings{goarch: "amd64", state: "/s", programs: []string{"/p", "/q"}, installed: "/q"}
	lines := mark + " system Linux x86_64\n" + mark + " state /s\n" + mark + " program /p\n" + mark + " program /q\n" + mark + " installed /q\n"
	for name, c := range map[string]struct {
		out  string
		want findings
		said bool
	}{
		"nothing":               {"", findings{}, false},
		"nothing but noise":     {"welcome\nstate /x\nbanger-OTHER state /x\n", findings{}, false},
		"all":                   {lines, all, true},
		"noise around":          {"\x1b[2Jwelcome\n" + lines + "\x00bye", all, true},
		"noise between":         {strings.ReplaceAll(lines, "\n", "\nwelcome\n"), all, true},
		"carriage returns":      {strings.ReplaceAll(lines, "\n", "\r\n"), all, true},
		"no end of line":        {strings.TrimSuffix(lines, "\n"), all, true},
		"the first of several":  {lines + mark + " state /t\n" + mark + " installed /t\n", all, true},
		"a mark not in front":   {"x" + mark + " state /x\n", findings{}, false},
		"a mark that goes on":   {mark + "x state /x\n", findings{}, false},
		"a mark and no more":    {mark + "\n", findings{}, false},
		"what nobody asked for": {mark + " other /x\n", findings{}, true},
		"spaces in a path":      {mark + " state /a  b \n", findings{state: "/a  b "}, true},
		"no value":              {mark + " state\n" + mark + " state \n" + mark + " program\n" + mark + " system\n", findings{}, true},
		"a relative path":       {mark + " state x\n" + mark + " program ../x\n" + mark + " installed ~/x\n", findings{}, true},
		"places that are unfit": {mark + " unfit /a: it is full\n" + mark + " program /p\n" + mark + " unfit \xff\n" + mark + " lacking /p: locks\n",
			findings{programs: []string{"/p"}, unfit: []string{"/a: it is full", "?", "/p: locks"}, passed: []string{"/a: it is full", "/p: locks"}}, true},
		"hostile paths":        {mark + " state /a';rm -rf /;'\n" + mark + " program /a\\\n" + mark + " program /a!x\n" + mark + " installed /a\x1b\n" + mark + " program /\xff\n", findings{}, true},
		"a good one behind it": {mark + " state /it's\n" + mark + " state /s\n", findings{state: "/s"}, true},
		"another system":       {mark + " system FreeBSD amd64\n", findings{goarch: "FreeBSD amd64"}, true},
	} {
		got, said := parseFindings([]byte(c.out), mark)
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(findings{})); diff != "" || said != c.said {
			t.Errorf("%s: said %t; findings (-want +got):\n%s", name, said, diff)
		}
	}
}

func FuzzFindings(f *testing.F) {
	f.Add([]byte(mark + " state /s\n" + mark + " program /p q\n"))
	f.Add([]byte("noise\r\n" + mark + " installed /'\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		got, said := parseFindings(out, mark)
		if said != strings.Contains("\n"+string(out), "\n"+mark+" ") {
			t.Errorf("said is %t", said)
		}
		for _, path := range append(got.programs, got.state, got.installed) {
			quoted := quote(path)
			if path != "" && (path[0] != '/' || strings.ContainsAny(path, "'\\!\r\n\x00\x1b") || strings.Count(quoted, "'") != 2) {
				t.Errorf("%q is not safe in a command", path)
			}
		}
	})
}

func TestFindings_WithoutWhichAHostCannotBeUsedTellWhatToDo(t *testing.T) {
	good := findings{goarch: "arm64", state: "/s", programs: []string{"/p"}, installed: "/p"}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		change func(*findings)
		words  string
	}{
		{func(f *findings) { f.goarch = "Linux riscv64" + strings.Repeat("x", 1000) }, "Linux riscv64"},
		{func(f *findings) { f.goarch = "" }, "x86_64 and aarch64"},
		{func(f *findings) { f.state, f.unfit = "", []string{"/s: a unix socket cannot be made"} }, "state of sessions: /s: a unix socket cannot be made"},
		{func(f *findings) { f.programs = nil }, "execute"},
	} {
		f := good
		c.change(&f)
		err := f.check()
		if banger.CodeOf(err) != banger.CodeMissing || !strings.Contains(err.Error(), c.words) || len(err.Error()) > 300 {
			t.Errorf("%+v: %v; want %q", f, err, c.words)
		}
	}
}

func TestGoarch_KnowsWhatUnameSays(t *testing.T) {
	for system, want := range map[string]string{
		"Linux x86_64": "amd64", "Linux amd64": "amd64", "Linux aarch64": "arm64", "Linux arm64": "arm64",
		"Linux i686": "Linux i686", "Darwin arm64": "Darwin arm64", "": "",
	} {
		if got := goarch(system); got != want {
			t.Errorf("%q is %q, want %q", system, got, want)
		}
	}
}

// shells are those that a host's /bin/sh may be, each from a Debian package.
func shells() map[string][]string {
	return map[string][]string{"dash": {"dash"}, "bash": {"bash", "--posix"}, "busybox": {"busybox", "sh"}}
}

func TestQuote_IsOneWordForEveryShell(t *testing.T) {
	for name, shell := range shells() {
		for _, path := range []string{"/", "/a b", "/$HOME `id` $(id)", `/"*?[a]{b,c}~#;&|<>()%^`, "/-n", "/é\u00a0"} {
			if !quotable(path) {
				t.Errorf("%q is refused", path)
			}
			cmd := exec.CommandContext(t.Context(), shell[0], append(shell[1:], "-c", "printf '<%s>' "+quote(path))...)
			if out, err := cmd.CombinedOutput(); err != nil || string(out) != "<"+path+">" {
				t.Errorf("%s: %q becomes %q: %v", name, path, out, err)
			}
		}
	}
}

// probed runs the script in a shell, in a mount namespace where everything that it may
// write to is new. setup is run there first.
func probed(t *testing.T, shell []string, version, setup string, env ...string) findings {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	prepare := `set -e
mount --make-rprivate /
for dir in /root /tmp /var/tmp /dev/shm; do mount -t tmpfs none $dir; done
mkdir /tmp/home /root/fake
printf '#!/bin/sh\nm=$3; shift 3; for d; do echo "$m state $d"; done\n' > /root/fake/banger-agent
cp /root/fake/banger-agent /root/fake/banger-shim; chmod 700 /root/fake/*
` + setup + "\n" + `exec "$@"`
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", prepare, "sh"}, shell...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	cmd.WaitDelay = time.Second
	cmd.Stdin = strings.NewReader("mark=" + mark + " version=" + version + "\n" + withoutComments(probeScript))
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	got, said := parseFindings(out, mark)
	if !said {
		t.Fatalf("the script says %q", out)
	}
	return got
}

// everywhere is a version that is installed in each directory: an agent that finds every place
// for sessions good.
const everywhere = "../../../../../../../root/fake"

func TestProbe_FindsWhereToKeepAndToExecute(t *testing.T) {
	const home = "/tmp/home/.local/state/banger"
	elsewhere := []string{"/var/tmp/banger-0/agent", "/tmp/banger-0/agent", "/dev/shm/banger-0/agent"}
	install := "mkdir -p " + home + "/agent/0123; cp /root/fake/banger-agent " + home + "/agent/0123"
	for name, c := range map[string]struct {
		setup     string
		env       []string
		state     string
		programs  []string
		installed string
	}{
		"a home":                 {"", []string{"HOME=/tmp/home"}, home, append([]string{home + "/agent"}, elsewhere...), ""},
		"a linked home":          {"mkdir /tmp/real && ln -s real /tmp/home", []string{"HOME=/tmp/home"}, home, append([]string{home + "/agent"}, elsewhere...), ""},
		"other folders":          {"mkdir /tmp/run", []string{"HOME=/tmp/home", "XDG_STATE_HOME=/tmp/state dir", "XDG_RUNTIME_DIR=/tmp/run"}, "/tmp/state dir/banger", append([]string{"/tmp/state dir/banger/agent", "/tmp/run/banger/agent"}, elsewhere...), ""},
		"no $HOME":               {"", nil, "/root/.local/state/banger", append([]string{"/root/.local/state/banger/agent"}, elsewhere...), ""},
		"a $HOME that is none":   {"", []string{"HOME=home"}, "/var/tmp/banger-0", elsewhere, ""},
		"a home without exec":    {"mount -t tmpfs -o noexec none /tmp/home", []string{"HOME=/tmp/home"}, home, elsewhere, ""},
		"a read-only home":       {"mount -t tmpfs -o ro none /tmp/home", []string{"HOME=/tmp/home"}, "/var/tmp/banger-0", elsewhere, ""},
		"nowhere to execute":     {"for d in /tmp /var/tmp /dev/shm; do mount -t tmpfs -o noexec none $d; done; mkdir /tmp/home", []string{"HOME=/tmp/home"}, "", nil, ""},
		"a home with a quote":    {"mkdir \"/tmp/it's\"", []string{"HOME=/tmp/it's"}, "/var/tmp/banger-0", elsewhere, ""},
		"a home of two lines":    {"", []string{"HOME=/tmp/home\n/x"}, "/var/tmp/banger-0", elsewhere, ""},
		"somebody else's folder": {"mkdir /tmp/banger-0 /var/tmp/banger-0; chown 1 /tmp/banger-0", []string{"HOME=/tmp/home"}, home, []string{home + "/agent", elsewhere[0], elsewhere[2]}, ""},
		"a folder in theirs":     {"mkdir -m 777 /var/tmp/banger-0; chown 1 /var/tmp/banger-0", []string{"HOME=/tmp/home"}, home, []string{home + "/agent", elsewhere[1], elsewhere[2]}, ""},
		"a link":                 {"ln -s /dev /tmp/banger-0", []string{"HOME=/tmp/home"}, home, []string{home + "/agent", elsewhere[0], elsewhere[2]}, ""},
		"a file":                 {"touch /tmp/banger-0", []string{"HOME=/tmp/home"}, home, []string{home + "/agent", elsewhere[0], elsewhere[2]}, ""},
		"half of an agent":       {install, []string{"HOME=/tmp/home"}, "", append([]string{home + "/agent"}, elsewhere...), ""},
		"an agent":               {install + "; cp -p " + home + "/agent/0123/banger-agent " + home + "/agent/0123/banger-shim", []string{"HOME=/tmp/home"}, home, append([]string{home + "/agent"}, elsewhere...), home + "/agent"},
	} {
		for shell, command := range shells() {
			t.Run(name+"/"+shell, func(t *testing.T) {
				version, installed := everywhere, c.installed
				if strings.Contains(c.setup, "0123") {
					version = "0123"
				} else if len(c.programs) > 0 {
					installed = c.programs[0]
				}
				got := probed(t, command, version, c.setup, c.env...)
				if got.state != c.state || !slices.Equal(got.programs, c.programs) || got.installed != installed {
					t.Errorf("found %+v", got)
				}
				if err := got.check(); (err == nil) != (len(c.programs) > 0) {
					t.Errorf("check says %v", err)
				}
			})
		}
	}
}

// Only the directories themselves are left, each for its owner only.
func TestProbe_LeavesNothingBehind(t *testing.T) {
	for shell, command := range shells() {
		list := `trap 'find /tmp /var/tmp /dev/shm -mindepth 1 ! \( -type d -perm 700 \) ! -path /tmp/home >&2' EXIT; "$@"; exit`
		var left strings.Builder
		ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", "mount --make-rprivate /; for d in /tmp /var/tmp /dev/shm; do mount -t tmpfs none $d; done; mkdir /tmp/home; " + list, "sh"}, command...)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/tmp/home"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		cmd.Stdin = strings.NewReader("mark=" + mark + " version=0123\n" + probeScript)
		cmd.Stderr = &left
		if err := cmd.Run(); err != nil || left.String() != "" {
			t.Errorf("%s: %v; it leaves %q", shell, err, left.String())
		}
	}
}
