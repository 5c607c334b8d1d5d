package servicetest

import (
	"context"
	"errors"
	"testing"

	"banger"
)

// Suite checks what a program may rely on, whichever services it has: those of a daemon,
// those of a client, or the fake. They have no VM yet, and an image of the default name that VMs are made from.
func Suite(t *testing.T, s banger.Services) {
	c := &caller{t, s}
	t.Run("VMs have unique names, and are found by them", c.vmNames)
	t.Run("a VM is started and stopped as often as one likes", c.vmPower)
	t.Run("sessions need a VM that runs, and have names of their own in it", c.sessions)
	t.Run("a session that has not ended is neither removed nor waited for", c.ends)
	t.Run("lists come in pages", c.pages)
	t.Run("every change is an event, in order", c.events)
	t.Run("what is on the disk is counted by kind", c.diskUsage)
	t.Run("a VM that runs is not deleted, unless that is forced", c.deleteVM)
}

type caller struct {
	*testing.T
	banger.Services
}

func (c *caller) code(t *testing.T, what string, err error, want banger.Code) {
	t.Helper()
	if banger.CodeOf(err) != want {
		t.Errorf("%s: %v, want code %q", what, err, want)
	}
}

func (c *caller) vmNames(t *testing.T) {
	ctx := t.Context()
	vm, err := c.VMs.CreateVM(ctx, banger.VMRequest{Name: "dev-one"})
	if err != nil || vm.Name != "dev-one" || vm.State != banger.VMStopped || !banger.ValidID(string(vm.ID)) {
		t.Fatalf("%+v, %v", vm, err)
	}
	_, err = c.VMs.CreateVM(ctx, banger.VMRequest{Name: "dev-one"})
	c.code(t, "the name again", err, banger.CodeExists)
	_, err = c.VMs.CreateVM(ctx, banger.VMRequest{Name: "Dev"})
	c.code(t, "a name that cannot be", err, banger.CodeInvalid)
	if _, err := c.VMs.CreateVM(ctx, banger.VMRequest{Name: "dev-two"}); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]banger.Code{"none": banger.CodeNotFound, "dev": banger.CodeAmbiguous, "": banger.CodeInvalid, "dev-o": "", string(vm.ID): ""} {
		got, err := c.VMs.GetVM(ctx, ref)
		c.code(t, "ref "+ref, err, want)
		if err == nil && got.ID != vm.ID {
			t.Errorf("ref %q means %s", ref, got.Name)
		}
	}
	_, err = c.VMs.RenameVM(ctx, "dev-one", banger.VMRename{Name: "dev-two"})
	c.code(t, "a name that is taken", err, banger.CodeExists)
	_, err = c.VMs.RenameVM(ctx, "dev-one", banger.VMRename{Name: "-"})
	c.code(t, "another name that cannot be", err, banger.CodeInvalid)
	renamed, err := c.VMs.RenameVM(ctx, "dev-one", banger.VMRename{Name: "one"})
	if err != nil || renamed.ID != vm.ID || renamed.Name != "one" || renamed.Revision <= vm.Revision {
		t.Errorf("%+v, %v", renamed, err)
	}
	again, err := c.VMs.RenameVM(ctx, "one", banger.VMRename{Name: "one"})
	if err != nil || again.Revision != renamed.Revision {
		t.Errorf("the name that it has: %+v, %v", again, err)
	}
	on, err := c.VMs.SetVM(ctx, "one", banger.VMUpdate{Autostart: new(true)})
	if err != nil || !on.Autostart {
		t.Errorf("%+v, %v", on, err)
	}
	if all, err := c.VMs.ListVMs(ctx); err != nil || len(all) != 2 || all[0].ID != vm.ID {
		t.Errorf("%+v, %v", all, err)
	}
}

func (c *caller) vmPower(t *testing.T) {
	ctx := t.Context()
	for range 2 {
		if vm, err := c.VMs.StartVM(ctx, "one"); err != nil || vm.State != banger.VMRunning {
			t.Fatalf("%+v, %v", vm, err)
		}
	}
	_, err := c.VMs.StopVM(ctx, "one", banger.VMStopRequest{Kill: true, Grace: 1})
	c.code(t, "a kill with a grace", err, banger.CodeInvalid)
	for range 2 {
		if vm, err := c.VMs.StopVM(ctx, "one", banger.VMStopRequest{Kill: true}); err != nil || vm.State != banger.VMStopped {
			t.Fatalf("%+v, %v", vm, err)
		}
	}
	_, err = c.VMs.StartVM(ctx, "none")
	c.code(t, "no such VM", err, banger.CodeNotFound)
}

// sleeper is a session that does not end by itself.
func sleeper(name string) banger.SessionRequest {
	return banger.SessionRequest{Name: name, Launch: banger.Launch{Command: "sleep", Args: []banger.ByteString{"1000"}, StdinMode: banger.StdinClosed}}
}

func (c *caller) sessions(t *testing.T) {
	ctx := t.Context()
	_, err := c.Sessions.StartSession(ctx, "one", sleeper("s"))
	c.code(t, "in a VM that does not run", err, banger.CodeState)
	if _, err := c.VMs.StartVM(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	x, err := c.Sessions.StartSession(ctx, "one", sleeper("s"))
	if err != nil || x.Status != banger.StatusRunning || x.Name != "s" {
		t.Fatalf("%+v, %v", x, err)
	}
	_, err = c.Sessions.StartSession(ctx, "one", sleeper("s"))
	c.code(t, "the name again", err, banger.CodeExists)
	_, err = c.Sessions.StartSession(ctx, "one", banger.SessionRequest{})
	c.code(t, "without a command", err, banger.CodeInvalid)
	_, err = c.Sessions.StartSession(ctx, "none", sleeper("s"))
	c.code(t, "no such VM", err, banger.CodeNotFound)
	got, err := c.Sessions.GetSession(ctx, "one", "s")
	if err != nil || got.ID != x.ID {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = c.Sessions.InspectSession(ctx, "one", "none")
	c.code(t, "no such session", err, banger.CodeNotFound)
	_, err = c.Sessions.GetSession(ctx, "dev-two", "s")
	c.code(t, "in another VM", err, banger.CodeNotFound)
	_, err = c.Streams.SendSession(ctx, "one", "none", banger.SendRequest{EOF: true})
	c.code(t, "stdin of no session", err, banger.CodeNotFound)
	_, err = c.Streams.ReadLogs(ctx, "one", "none", banger.LogRequest{Stream: banger.StreamBoth}, nil)
	c.code(t, "log of no session", err, banger.CodeNotFound)
	_, err = c.Streams.MatchSession(ctx, "one", "none", banger.MatchRequest{Pattern: "x"})
	c.code(t, "match in no session", err, banger.CodeNotFound)
	_, err = c.Sessions.PruneSessions(ctx, banger.PruneRequest{})
	c.code(t, "prune without a criterion", err, banger.CodeInvalid)
}

func (c *caller) ends(t *testing.T) {
	ctx := t.Context()
	c.code(t, "remove", c.Sessions.RemoveSession(ctx, "one", "s", false), banger.CodeState)
	done, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.Sessions.WaitSession(done, "one", "s"); !errors.Is(err, context.Canceled) {
		t.Errorf("wait: %v", err)
	}
	c.code(t, "no signal", c.Control.SignalSession(ctx, "one", "s", banger.SignalRequest{Signal: "NONE"}), banger.CodeInvalid)
	x, err := c.Control.StopSession(ctx, "one", "s", banger.StopRequest{Kill: true})
	if err != nil || !x.Status.Ended() {
		t.Fatalf("%+v, %v", x, err)
	}
	if waited, err := c.Sessions.WaitSession(ctx, "one", "s"); err != nil || waited.Status != x.Status {
		t.Errorf("%+v, %v", waited, err)
	}
	c.code(t, "signal", c.Control.SignalSession(ctx, "one", "s", banger.SignalRequest{Signal: "HUP"}), banger.CodeState)
	if err := c.Sessions.RemoveSession(ctx, "one", "s", false); err != nil {
		t.Error(err)
	}
	c.code(t, "remove again", c.Sessions.RemoveSession(ctx, "one", "s", false), banger.CodeNotFound)
}

func (c *caller) pages(t *testing.T) {
	ctx := t.Context()
	for _, name := range []string{"a", "b", "c"} {
		if _, err := c.Sessions.StartSession(ctx, "one", sleeper(name)); err != nil {
			t.Fatal(err)
		}
	}
	filter := banger.SessionFilter{VM: "one"}
	first, next, err := c.Sessions.PageSessions(ctx, filter, "", 2)
	if err != nil || len(first) != 2 || next == "" {
		t.Fatalf("%+v, %q, %v", first, next, err)
	}
	rest, next, err := c.Sessions.PageSummaries(ctx, filter, next, 2)
	if err != nil || len(rest) != 1 || rest[0].Name != "c" || next != "" {
		t.Errorf("%+v, %q, %v", rest, next, err)
	}
	if all, err := c.Sessions.ListSessions(ctx, filter); err != nil || len(all) != 3 {
		t.Errorf("%d, %v", len(all), err)
	}
	none, err := c.Sessions.SummarizeSessions(ctx, banger.SessionFilter{Status: banger.StatusFailed, VM: "dev-two"})
	if err != nil || len(none) != 0 {
		t.Errorf("%+v, %v", none, err)
	}
	_, err = c.Sessions.ListSessions(ctx, banger.SessionFilter{VM: "none"})
	c.code(t, "of no VM", err, banger.CodeNotFound)
}

func (c *caller) events(t *testing.T) {
	stop := errors.New("seen")
	last, created := int64(0), 0
	err := c.Events.WatchEvents(t.Context(), 0, func(e banger.Event) error {
		if e.Revision != last+1 {
			t.Errorf("after event %d comes %d", last, e.Revision)
		}
		last = e.Revision
		if e.Kind == banger.EventSessionCreated {
			created++
		}
		if created == 4 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) {
		t.Error(err)
	}
}

func (c *caller) deleteVM(t *testing.T) {
	ctx := t.Context()
	c.code(t, "delete", c.VMs.DeleteVM(ctx, "one", false), banger.CodeState)
	if err := c.VMs.DeleteVM(ctx, "one", true); err != nil {
		t.Fatal(err)
	}
	_, err := c.Sessions.GetSession(ctx, "one", "a")
	c.code(t, "its session", err, banger.CodeNotFound)
	if err := c.VMs.DeleteVM(ctx, "dev-two", false); err != nil {
		t.Error(err)
	}
	c.code(t, "delete again", c.VMs.DeleteVM(ctx, "dev-two", false), banger.CodeNotFound)
}

func (c *caller) diskUsage(t *testing.T) {
	usage, err := c.Disk.DiskUsage(t.Context())
	if err != nil || len(usage.Kinds) != len(banger.DiskKinds()) {
		t.Fatalf("%+v, %v", usage, err)
	}
	vms, err := c.VMs.ListVMs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var used int64
	for i, k := range usage.Kinds {
		if used += k.UsedBytes; k.Kind != banger.DiskKinds()[i] || k.SharedBytes > k.UsedBytes {
			t.Errorf("%+v", k)
		}
		if k.Kind == banger.DiskVMs && k.Count != len(vms) {
			t.Errorf("%d VMs instead of %d", k.Count, len(vms))
		}
	}
	if used != usage.UsedBytes {
		t.Errorf("%d bytes together, and %d of all kinds", usage.UsedBytes, used)
	}
}
