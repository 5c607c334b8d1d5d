package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"banger"
)

func TestRun_WrongUsageExitsWith2AndCallsNothing(t *testing.T) {
	for _, line := range []string{
		"bogus", "vm", "vm bogus", "session", "vm list extra", "vm show", "vm start", "vm show a b",
		"vm rename dev", "vm rename dev Bad_Name", "vm rename dev a b",
		"vm list --bogus", "vm create --memory 512", "vm create --cpus 0", "vm create --cpus two",
		"vm create --memory 5M", "vm create Bad_Name", "vm stop dev --grace -1s",
		"session start", "session start dev ls", "session start -- ls",
		"session start dev --", "session start dev --env 1A=b -- ls", "session start dev --tag a -- ls",
		"session start dev --tag a=1 --tag a=2 -- ls", "session start dev --stdin maybe -- ls",
		"session start dev --env BANGER_TEST_NOT_SET -- ls", "session start dev --cwd rel -- ls",
		"session start dev --tty --stdin closed -- ls",
		"session logs dev", "session logs dev s -n -1", "session logs dev s --from 3",
		"session logs dev s --from -3 --stream stdout", "session logs dev s -n 3 --from 3 --stream stdout",
		"session wait dev s --timeout -1s", "session list --status done", "daemon run --ready-fd -2",
		"cp", "cp a", "cp a b", "cp v:a", "cp a v:b c", "cp - -",
		"vm ssh", "image build a b", "image pull", "image pull a b", "image pull A:B:C", "image import", "image tag a", "image prune a",
		"vm add", "vm add lab", "vm add --ssh h", "vm add lab other --ssh h", "vm add Lab --ssh h", "vm add lab --ssh=", "vm unlock", "vm unlock a b",
		"session attach dev", "session attach dev s --from -1", "session attach dev s --from end",
		"session attach dev s --view --takeover", "session attach dev s --view --eof", "session attach dev s --no-stdin --eof",
		"session attach dev s --detach-keys enter", "session start dev --attach --json -- ls",
		"session wait dev s --from 3", "session wait dev s --stream stdout", "session wait dev s --match (",
		"session logs dev s --grep (", "session search", "session search a b", "session search (", "session search a --limit 0",
		"session search a --since 25:00", "session search a --tag b", "session search a --status done", "session search a --stream all",
		"session prune", "session prune dev --keep 3", "session prune --vm dev", "session prune --keep -1", "session prune --older-than 0s",
		"session prune --max-size 10", "session prune --older-than -1h", "session prune --keep 1 --tag x",
		"session wait dev s --match .*", "session send dev s --timeout 1s", "session send dev s --stream stdout",
		"session send dev s --then-wait-match (", "session logs dev s --limit 0", "session logs dev s --limit -1",
		"run", "run ls -l", "run a b -- ls", "run a b", "run a --", "run --image a b -- ls", "run --", "up a b", "up --name Bad_Name", "up --image a b", "run --memory 512 -- ls", "run --cpus 0 -- ls", "run --env 1A=b -- ls",
	} {
		t.Run(line, func(t *testing.T) {
			f := &fake{}
			r := f.run(t, "", strings.Fields(line)...)
			if r.status != 2 || !strings.HasPrefix(r.stderr, "banger: ") || r.stdout != "" {
				t.Errorf("exit status %d, stderr %q, stdout %q", r.status, r.stderr, r.stdout)
			}
			if len(f.asked) > 0 {
				t.Errorf("the service was asked for %q", f.asked)
			}
		})
	}
}

func TestRun_AnErrorsCodeDecidesTheExitStatus(t *testing.T) {
	for code, want := range map[banger.Code]int{
		banger.CodeInvalid: 2, banger.CodeTimeout: 124, banger.CodeNotFound: 125,
		banger.CodeAmbiguous: 125, banger.CodeUnavailable: 125, banger.CodeMissing: 125,
		banger.CodeInternal: 125, banger.CodeMismatch: 125, banger.CodeState: 125, banger.CodeQuestion: 125,
	} {
		f := &fake{err: fmt.Errorf("outer: %w", banger.Errorf(code, "cannot do it"))}
		if r := f.run(t, "", "vm", "start", "dev"); r.status != want {
			t.Errorf("%s: exit status %d, want %d", code, r.status, want)
		}
	}
}

// Nobody takes a list with a hole for the whole, or a disk that is full for wrong usage.
func TestRun_WhatCannotBePrintedFailsAndIsSaidOnce(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	f := &fake{}
	for range 200 { // more than a buffer
		f.vms, f.sessions = append(f.vms, banger.VM{}), append(f.sessions, banger.Session{})
	}
	for _, line := range []string{"vm list", "vm list --json", "session list", "session list --json", "version", "--help", "vm create --help", "completion bash"} {
		var stderr bytes.Buffer
		c := CLI{Version: "v1", Backend: f, Stdin: strings.NewReader(""), Stdout: full, Stderr: &stderr}
		status := c.Run(t.Context(), strings.Fields(line))
		if status != ExitFailure || strings.Count(stderr.String(), "no space left on device") != 1 || strings.Contains(stderr.String(), "hint:") {
			t.Errorf("%s: exit status %d, stderr %q", line, status, stderr.String())
		}
	}
}

func TestRun_AnErrorIsFollowedByCandidatesAndTheNextStep(t *testing.T) {
	err := banger.Errorf(banger.CodeAmbiguous, "cannot tell which VM %q is", "d").WithHint("give the whole name")
	err.Candidates = []string{"dev (a)", "de\x1b[2Jmo (b)"}
	r := (&fake{err: err}).run(t, "", "vm", "show", "d")
	const want = "banger: cannot tell which VM \"d\" is\n  dev (a)\n  de^[[2Jmo (b)\nhint: give the whole name\n"
	if r.stderr != want {
		t.Errorf("stderr %q, want %q", r.stderr, want)
	}
}

func TestRun_HelpShowsTheExitStatuses(t *testing.T) {
	if out := (&fake{}).must(t, "--help"); !strings.Contains(out, ExitStatusHelp) {
		t.Errorf("--help does not show them:\n%s", out)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(ExitStatusHelp, "\n") {
		if !strings.Contains(string(readme), strings.TrimSpace(line)) {
			t.Errorf("README.md does not say %q", strings.TrimSpace(line))
		}
	}
}

func TestEveryCommand_HasHelpAndChecksItsArguments(t *testing.T) {
	c := CLI{Backend: &fake{}}
	root, _ := c.rootCommand()
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			if sub.Short == "" || sub.Args == nil {
				t.Errorf("%s has no help or takes any arguments", sub.CommandPath())
			}
			if !sub.HasSubCommands() && sub.ValidArgsFunction == nil {
				t.Errorf("%s offers files to complete", sub.CommandPath())
			}
			walk(sub)
		}
	}
	walk(root)
}

func TestEveryReadCommand_PrintsTheAPIsObjectsAsJSON(t *testing.T) {
	f := &fake{
		vms:      []banger.VM{{ID: "v1", Name: "dev"}},
		sessions: []banger.Session{exitedWith(0)},
		images:   []banger.Image{{ID: "i1", Name: "default"}},
		events:   []banger.Event{{Revision: 4, Kind: banger.EventVMCreated, VM: &banger.VM{Name: "dev"}}},
		chunks:   []banger.LogChunk{{Stream: banger.StreamStdout, Data: []byte("<a>\n")}},
		checks:   []banger.Check{{Name: "qemu", Status: banger.CheckOK}},
		disk:     banger.DiskUsage{UsedBytes: 5},
		running:  true,
	}
	for line, want := range map[string]string{
		"vm list":                              `[{"id":"v1"`,
		"vm show dev":                          `{"id":"v1"`,
		"vm create dev":                        `{"id":"v1"`,
		"vm add lab --ssh h":                   `{"id":"","name":"lab"`,
		"vm unlock lab":                        `{"id":"","name":"lab"`,
		"vm console-log dev":                   `{"data":`,
		"session list":                         `[{"id":""`,
		"session show a b":                     `{"id":""`,
		"session logs a b":                     `{"stream":"stdout","offset":0,"data":"PGE+Cg=="}{"next":{"stdout":4,"stderr":0},`,
		"session wait a b":                     `{"id":""`,
		"session send a b":                     `{"offset":0,"eof":false}`,
		"session wait a b --match x":           `{"stream":"stdout","offset":5,"end":8,"text":"YWJj"`,
		"session send a b --then-wait-match x": `{"stream":"stdout","offset":5`,
		"image list":                           `[{"id":"i1"`,
		"image show default":                   `{"id":"i1"`,
		"image build":                          `{"id":"i1"`,
		"image pull node:22":                   `{"id":"i1"`,
		"image import x":                       `{"id":"i1"`,
		"image tag default y":                  `{"id":"i1"`,
		"image prune --dry-run":                `{"images":null`,
		"daemon status":                        `{"version":"v1","pid":7`,
		"df":                                   `{"used_bytes":5`,
		"doctor":                               `[{"name":"qemu"`,
		"events --since 0":                     `{"revision":4`,
		"version":                              `{"version":"v1","daemon_version":"v1"}`,
	} {
		out := f.must(t, append(strings.Fields(line), "--json")...)
		var flat []byte
		for values := json.NewDecoder(strings.NewReader(out)); ; {
			var v json.RawMessage
			err := values.Decode(&v)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v in %q", line, err, out)
			}
			var b bytes.Buffer
			_ = json.Compact(&b, v)
			flat = append(flat, b.Bytes()...)
		}
		if !strings.HasPrefix(string(flat), want) {
			t.Errorf("%s: %s, want %s…", line, flat, want)
		}
	}
	for _, noun := range []string{"vm", "session", "image"} {
		if out := (&fake{}).must(t, noun, "list", "--json"); out != "[]\n" {
			t.Errorf("%s list without any: %q", noun, out)
		}
	}
}

func TestCompletion_KnowsLiveNamesAndStartsNoDaemon(t *testing.T) {
	f := &fake{
		vms:      []banger.VM{{Name: "dev"}, {Name: "demo"}},
		sessions: []banger.Session{{Name: "build"}, {Name: "two\nlines"}},
		images:   []banger.Image{{Name: "default", Tags: []string{"node:22"}}, {Name: ""}},
		running:  true,
	}
	for line, want := range map[string]string{
		"vm start de":           "dev demo",
		"vm start dem":          "demo",
		"vm start dev ":         "",
		"vm ssh d":              "dev demo",
		"session list ":         "dev demo",
		"session logs ":         "dev demo",
		"session logs dev ":     "build",
		"session logs dev b":    "build",
		"image show ":           "default node:22",
		"vm create --image de":  "default",
		"session start dev -- ": "",
	} {
		args := append([]string{"__completeNoDesc"}, strings.Split(line, " ")...)
		lines := strings.Fields(f.must(t, args...))
		if got := strings.Join(lines[:len(lines)-1], " "); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
	if f.filter.VM != "dev" {
		t.Errorf("sessions were asked of VM %q", f.filter.VM)
	}
	idle := &fake{vms: []banger.VM{{Name: "dev"}}}
	if out := idle.must(t, "__completeNoDesc", "vm", "start", ""); strings.Contains(out, "dev") || idle.running {
		t.Errorf("without a daemon: %q, started %t", out, idle.running)
	}
}
