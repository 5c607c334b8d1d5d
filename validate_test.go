package banger_test

import (
	"strings"
	"testing"

	"banger"
)

func TestLaunch_WhatLinuxCannotStartIsRefused(t *testing.T) {
	long := banger.ByteString(strings.Repeat("x", 128<<10))
	many := make([]banger.ByteString, 70_000)
	env := func(key string, value banger.ByteString) func(*banger.Launch) {
		return func(l *banger.Launch) { l.Env = map[string]banger.ByteString{key: value} }
	}
	for name, c := range map[string]struct {
		change func(*banger.Launch)
		ok     bool
	}{
		"odd bytes":            {func(l *banger.Launch) { l.Args = []banger.ByteString{"", "\xff\n\"'$(id)"} }, true},
		"an odd environment":   {env("_A1", "\xff\n="), true},
		"no command":           {func(l *banger.Launch) { l.Command = "" }, false},
		"NUL in an argument":   {func(l *banger.Launch) { l.Args = []banger.ByteString{"a\x00b"} }, false},
		"NUL in a value":       {env("A", "a\x00b"), false},
		"a name with =":        {env("A=B", ""), false},
		"a name with a digit":  {env("1A", ""), false},
		"an empty name":        {env("", ""), false},
		"a long argument":      {func(l *banger.Launch) { l.Args = []banger.ByteString{long} }, false},
		"a long value":         {env("A", long), false},
		"a long name":          {env(string(long), ""), false},
		"name and value long":  {env(strings.Repeat("A", 70_000), long[:70_000]), false},
		"many arguments":       {func(l *banger.Launch) { l.Args = many }, false},
		"a relative folder":    {func(l *banger.Launch) { l.Cwd = "tmp" }, false},
		"an empty requirement": {func(l *banger.Launch) { l.RequiredCommands = []banger.ByteString{""} }, false},
		"tty without input":    {func(l *banger.Launch) { l.TTY = true }, false},
		"a user and a group":   {func(l *banger.Launch) { l.User = "a:b" }, true},
		"a user and two":       {func(l *banger.Launch) { l.User = "a:b:c" }, false},
		"a group alone":        {func(l *banger.Launch) { l.User = ":b" }, false},
		"a user and no group":  {func(l *banger.Launch) { l.User = "a:" }, false},
		"no stdin mode":        {func(l *banger.Launch) { l.StdinMode = "" }, false},
	} {
		l := banger.Launch{Command: "true", StdinMode: banger.StdinClosed}
		c.change(&l)
		err := l.Validate()
		if c.ok != (err == nil) || !c.ok && banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("%s: got %v", name, err)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

func TestVMRequest_SizesThatCannotWorkAreRefused(t *testing.T) {
	if err := (banger.VMRequest{}).WithDefaults().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for _, r := range []banger.VMRequest{
		{Name: "-a"}, {Name: "a-"}, {Name: "A"}, {Name: "a.b"}, {Name: strings.Repeat("a", 64)},
		{CPUs: -1}, {CPUs: 256}, {MemoryMiB: 127}, {MemoryMiB: -1}, {SystemDiskMiB: 1}, {WorkDiskMiB: 1 << 30},
	} {
		if err := r.WithDefaults().Validate(); banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("%+v: got %v", r, err)
		}
	}
}

func TestRemoteRequest_WhatCannotBeUsedIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*banger.RemoteRequest)
		ok     bool
	}{
		"a host":              {func(*banger.RemoteRequest) {}, true},
		"a key and an agent":  {func(r *banger.RemoteRequest) { r.IdentityFile, r.Answers.AgentSocket = "/k", "/a" }, true},
		"no name":             {func(r *banger.RemoteRequest) { r.Name = "" }, false},
		"a name with a dot":   {func(r *banger.RemoteRequest) { r.Name = "a.b" }, false},
		"no host":             {func(r *banger.RemoteRequest) { r.SSH = "" }, false},
		"a relative key file": {func(r *banger.RemoteRequest) { r.IdentityFile = "k" }, false},
		"a relative agent":    {func(r *banger.RemoteRequest) { r.Answers.AgentSocket = "a" }, false},
	} {
		r := banger.RemoteRequest{Name: "lab", SSH: "me@lab"}
		c.change(&r)
		if err := r.Validate(); (err == nil) != c.ok || !c.ok && banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
