package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"banger"
	"banger/test/installation"
)

// refused runs a command that has to fail with a message that holds all words.
func refused(t *testing.T, i *installation.Installation, code int, words []string, args ...string) {
	t.Helper()
	r := i.Run(t, args...)
	if r.Code != code {
		t.Errorf("want exit status %d: %s", code, r)
	}
	for _, w := range words {
		if !strings.Contains(string(r.Stderr), w) {
			t.Errorf("the message does not hold %q: %s", w, r)
		}
	}
}

func TestInput_NamesThatFitNothingOrTooMuch(t *testing.T) {
	i := sharedVM(t)
	start(t, i, "twin-a", "--", "true")
	start(t, i, "twin-b", "--", "true")
	refused(t, i, 125, []string{"nosuchvm", vmName}, "vm", "show", "nosuchvm")
	refused(t, i, 125, []string{"nosuch"}, "session", "show", vmName, "nosuch")
	refused(t, i, 125, []string{"twin-a", "twin-b"}, "session", "show", vmName, "twin")
	refused(t, i, 125, []string{"nosuchimage", "image build"}, "vm", "create", "x", "--image", "127.0.0.1:1/nosuchimage")
	refused(t, i, 125, []string{vmName}, "vm", "create", vmName)
	refused(t, i, 125, []string{"twin-a"}, "session", "start", vmName, "--name", "twin-a", "--", "true")
	refused(t, i, 2, nil, "session", "start", vmName)
	refused(t, i, 2, nil, "vm", "nosuchverb")
}

func TestInput_LaunchThatCannotWorkIsAFailedSession(t *testing.T) {
	i := sharedVM(t)
	for _, c := range []struct {
		name  string
		flags []string
		stage banger.LaunchStage
		word  string
		exit  int
	}{
		{"no-cwd", []string{"--cwd", "/no/such", "--", "true"}, banger.StagePreflightCwd, "/no/such", 125},
		{"file-cwd", []string{"--cwd", "/etc/passwd", "--", "true"}, banger.StagePreflightCwd, "/etc/passwd", 125},
		{"no-command", []string{"--", "no-such-command"}, banger.StagePreflightCommand, "no-such-command", 127},
		{"not-executable", []string{"--", "/etc/passwd"}, banger.StagePreflightCommand, "/etc/passwd", 126},
		{"folder", []string{"--", "/etc"}, banger.StagePreflightCommand, "/etc", 126},
		{"required", []string{"--require", "no-such-tool", "--", "true"}, banger.StagePreflightCommand, "no-such-tool", 125},
		{"no-user", []string{"--user", "nosuchuser", "--", "true"}, banger.StageLaunch, "nosuchuser", 125},
	} {
		refused(t, i, c.exit, []string{string(c.stage), c.word}, append([]string{"session", "start", vmName, "--name", c.name}, c.flags...)...)
		x := show(t, i, c.name)
		if x.Status != banger.StatusFailed || x.EndedBy != banger.EndedByLaunch || x.LaunchStage != c.stage || !strings.Contains(x.LaunchMessage, c.word) {
			t.Errorf("%s: %+v", c.name, x.SessionState)
		}
	}
}

func TestInput_WhatNoProcessCanBeGivenIsRefused(t *testing.T) {
	i := sharedVM(t)
	before := len(installation.JSON[[]banger.Session](t, i, "session", "list", vmName))
	refused(t, i, 2, []string{"9X"}, "session", "start", vmName, "--env", "9X=1", "--", "true")
	refused(t, i, 2, []string{"A-B"}, "session", "start", vmName, "--env", "A-B=1", "--", "true")
	refused(t, i, 2, []string{"absolute"}, "session", "start", vmName, "--cwd", "tmp", "--", "true")
	refused(t, i, 2, []string{".."}, "session", "start", vmName, "--name", "..", "--", "true")
	// A command line cannot carry NUL; the API can.
	c := i.Client()
	for _, r := range []banger.SessionRequest{
		{Launch: banger.Launch{Command: "true", Args: []banger.ByteString{"a\x00b"}}},
		{Launch: banger.Launch{Command: "tr\x00ue"}},
		{Launch: banger.Launch{Command: "true", Env: map[string]banger.ByteString{"A": "\x00"}}},
		{Launch: banger.Launch{Command: "true"}, Name: "a\x00"},
		{Launch: banger.Launch{Command: "true"}, Tags: map[string]string{"a\x00": ""}},
	} {
		if _, err := c.StartSession(t.Context(), vmName, r); banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("%+v: got %v", r, err)
		}
	}
	if after := len(installation.JSON[[]banger.Session](t, i, "session", "list", vmName)); after != before {
		t.Errorf("%d sessions were made of refused requests", after-before)
	}
}

func TestInput_SizesThatCannotWork(t *testing.T) {
	i := sharedVM(t)
	for _, flags := range [][]string{
		{"--memory", "1M"}, {"--memory", "0"}, {"--memory", "-5M"}, {"--memory", "9999999G"}, {"--memory", "lots"},
		{"--disk", "1M"}, {"--work-disk", "99999999G"}, {"--cpus", "0"}, {"--cpus", "9999"},
	} {
		r := i.Run(t, append([]string{"vm", "create", "impossible"}, flags...)...)
		if r.Code == 0 || len(r.Stderr) == 0 {
			t.Errorf("%q is accepted: %s", flags, r)
		}
	}
	refused(t, i, 125, []string{"impossible"}, "vm", "show", "impossible")
}

func TestInput_StoppedVM(t *testing.T) {
	i := installation.New(t, bin)
	i.Image(t)
	i.MustRun(t, "vm", "create", "idle")
	refused(t, i, 125, []string{"idle", "vm start"}, "session", "start", "idle", "--", "true")
	refused(t, i, 125, []string{"idle", "vm start"}, "vm", "ssh", "idle", "true")
	var sessions []banger.Session
	if err := json.Unmarshal([]byte(i.MustRun(t, "session", "list", "idle", "--json")), &sessions); err != nil || len(sessions) != 0 {
		t.Errorf("%v %v", sessions, err)
	}
}
