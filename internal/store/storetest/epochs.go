package storetest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"banger"
	"banger/internal/lineage"
	"banger/internal/records"
)

// fork returns what the fork of a VM is.
func fork(of banger.VM, name string) banger.VM {
	vm := newVM(name)
	vm.ParentEpoch = of.Epoch
	return vm
}

// standing returns a session as it is where an epoch parts, at a place in its streams.
func standing(x banger.Session, key string, n int64) records.FoundSession {
	x.Status, x.StdoutBytes, x.StderrBytes, x.StdinOffset = banger.StatusRunning, n, n/2, n/3
	return records.FoundSession{Session: x, IdempotencyKey: key}
}

func point(n int64) *lineage.Point { return &lineage.Point{Stdout: n, Stderr: n / 2, Stdin: n / 3} }

func begin(t *testing.T, s Store, vm banger.VM, sessions ...records.FoundSession) banger.VM {
	t.Helper()
	vm, err := s.BeginEpoch(t.Context(), vm, sessions)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func wantLines(t *testing.T, s Store, key banger.SessionKey, of banger.Epoch, own, other lineage.Line) {
	t.Helper()
	gotOwn, gotOther, err := s.Lineage(t.Context(), key, of)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "own line", gotOwn, own)
	wantEqual(t, fmt.Sprintf("line of %q", of), gotOther, other)
}

func testTwins(t *testing.T, s Store) {
	one, two := createVM(t, s, "one"), createVM(t, s, "two")
	a, _, err := s.CreateSession(t.Context(), newSession(one, "a"), "key")
	if err != nil {
		t.Fatal(err)
	}
	twin := newSession(two, "a")
	twin.ID, twin.Command = a.ID, "other"
	b, created, err := s.CreateSession(t.Context(), twin, "key")
	if err != nil || !created || b.ID != a.ID || b.Epoch != banger.Epoch(two.ID) || a.Epoch != banger.Epoch(one.ID) {
		t.Fatalf("a session with the same id in another VM: %v, %v, %+v", created, err, b)
	}
	waited := make(chan banger.Session, 1)
	go func() {
		x, err := s.WaitSession(t.Context(), b.Key(), func(x banger.Session) bool { return x.Status.Ended() })
		if err != nil {
			t.Error(err)
		}
		waited <- x
	}()
	for range 2 { // before there are lists, and with them
		for _, x := range []banger.Session{a, b} {
			if got, err := s.GetSession(t.Context(), x.Key()); err != nil || got.VMID != x.VMID || got.Command != x.Command {
				t.Errorf("%s: %+v, %v", x.Key(), got, err)
			}
			if got, err := s.ResolveSession(t.Context(), x.VMID, string(x.ID[:8])); err != nil || got.VMID != x.VMID {
				t.Errorf("%s by its id: %+v, %v", x.Key(), got, err)
			}
			if got, err := s.FindSession(t.Context(), x.VMID, "key"); err != nil || got.VMID != x.VMID {
				t.Errorf("%s by its key: %+v, %v", x.Key(), got, err)
			}
		}
		if _, err := s.ListSessions(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.UpdateSession(t.Context(), a.Key(), func(x *banger.Session) error { x.Status = banger.StatusFailed; return nil }); err != nil {
		t.Fatal(err)
	}
	err = s.UpdateSessions(t.Context(), two.ID, []banger.SessionID{a.ID}, func(x *banger.Session) error { x.Status = banger.StatusExited; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if x := <-waited; x.VMID != two.ID || x.Status != banger.StatusExited {
		t.Errorf("who waited for one got the other: %+v", x)
	}
	if err := s.DeleteSession(t.Context(), a.Key()); err != nil {
		t.Fatal(err)
	}
	list, err := s.ListSessions(t.Context(), "")
	if err != nil || len(list) != 1 || list[0].VMID != two.ID || list[0].Status != banger.StatusExited {
		t.Errorf("after one is deleted: %+v, %v", list, err)
	}
	page, _, err := s.PageSessions(t.Context(), records.SessionPageRequest{Match: func(banger.Session) bool { return true }, Limit: 5, Whole: true})
	if err != nil || len(page) != 1 || page[0].Command != "other" {
		t.Errorf("its launch: %+v, %v", page, err)
	}
}

func testForkEpoch(t *testing.T, s Store) {
	source := createVM(t, s, "source")
	a, b := createSession(t, s, source, "a"), createSession(t, s, source, "b")
	since := revision(t, s)
	forked := begin(t, s, fork(source, "fork"), standing(a, "key", 100), standing(b, "", 9))
	if forked.Epoch != banger.Epoch(forked.ID) || forked.ParentEpoch != source.Epoch || source.Epoch != banger.Epoch(source.ID) {
		t.Errorf("%+v comes from %+v", forked, source)
	}
	root := lineage.Step{Epoch: source.Epoch}
	mine := lineage.Line{root, {Epoch: forked.Epoch, Began: point(100)}}
	twin := banger.SessionKey{VM: forked.ID, Session: a.ID}
	wantLines(t, s, twin, source.Epoch, mine, lineage.Line{root})
	wantLines(t, s, twin, "", mine, lineage.Line{root})
	wantLines(t, s, a.Key(), forked.Epoch, lineage.Line{root}, mine)
	wantLines(t, s, a.Key(), "unknown", lineage.Line{root}, lineage.Line{{Epoch: "unknown"}})
	x, err := s.FindSession(t.Context(), forked.ID, "key")
	if err != nil || x.ID != a.ID || x.VMID != forked.ID || x.Epoch != forked.Epoch || x.StdoutBytes != 100 || x.Name != "a" {
		t.Errorf("its session: %+v, %v", x, err)
	}
	if got, err := s.GetSession(t.Context(), a.Key()); err != nil || got.Status != banger.StatusStarting || got.Epoch != source.Epoch {
		t.Errorf("that of the source: %+v, %v", got, err)
	}
	young := createSession(t, s, forked, "young")
	line := lineage.Line{root, {Epoch: forked.Epoch}}
	wantLines(t, s, young.Key(), "", line, line)
	var told []string
	for _, e := range events(t, s, since) {
		told = append(told, string(e.Kind))
	}
	wantEqual(t, "events", told, []string{"vm.created", "session.created", "session.created", "session.created"})
}

func testRestoreEpoch(t *testing.T, s Store) {
	vm := createVM(t, s, "vm")
	kept, _, err := s.CreateSession(t.Context(), newSession(vm, "kept"), "key")
	if err != nil {
		t.Fatal(err)
	}
	gone := createSession(t, s, vm, "gone")
	removed := createSession(t, s, vm, "removed")
	for _, x := range []banger.Session{kept, removed} {
		_, err := s.UpdateSession(t.Context(), x.Key(), func(x *banger.Session) error {
			x.Status, x.Sequence, x.StdoutBytes, x.Epoch = banger.StatusExited, 9, 500, "forged"
			x.Name += " later"
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DeleteSession(t.Context(), removed.Key()); err != nil {
		t.Fatal(err)
	}
	since := revision(t, s)
	back := banger.VM{ID: vm.ID, Epoch: banger.NewEpoch(), ParentEpoch: vm.Epoch, Name: "no other name"}
	now := begin(t, s, back, standing(kept, "older key", 60), standing(removed, "", 6))
	if now.Epoch != back.Epoch || now.ParentEpoch != vm.Epoch || now.Name != vm.Name || now.State != vm.State {
		t.Errorf("%+v", now)
	}
	x, err := s.FindSession(t.Context(), vm.ID, "older key")
	if err != nil || x.ID != kept.ID || x.Status != banger.StatusRunning || x.Sequence != 0 || x.StdoutBytes != 60 || x.Name != "kept" || x.Epoch != back.Epoch {
		t.Errorf("a session that ended since: %+v, %v", x, err)
	}
	_, err = s.FindSession(t.Context(), vm.ID, "key")
	wantCode(t, err, banger.CodeNotFound, "key")
	_, err = s.GetSession(t.Context(), gone.Key())
	wantCode(t, err, banger.CodeNotFound, string(gone.ID))
	if x, err := s.GetSession(t.Context(), removed.Key()); err != nil || x.Status != banger.StatusRunning || x.Command != removed.Command {
		t.Errorf("a session that was removed since: %+v, %v", x, err)
	}
	root := lineage.Step{Epoch: vm.Epoch}
	wantLines(t, s, kept.Key(), vm.Epoch, lineage.Line{root, {Epoch: back.Epoch, Began: point(60)}}, lineage.Line{root})
	again := begin(t, s, banger.VM{ID: vm.ID, Epoch: banger.NewEpoch(), ParentEpoch: vm.Epoch}, standing(kept, "key", 40))
	wantLines(t, s, kept.Key(), back.Epoch, lineage.Line{root, {Epoch: again.Epoch, Began: point(40)}}, lineage.Line{root, {Epoch: back.Epoch, Began: point(60)}})
	var told []string
	for _, e := range events(t, s, since) {
		if e.VM != nil {
			told = append(told, string(e.Kind)+" "+e.VM.Name)
			continue
		}
		told = append(told, string(e.Kind)+" "+e.Session.Name)
	}
	wantEqual(t, "events", told, []string{
		"session.deleted gone", "vm.changed vm", "session.changed kept", "session.created removed",
		"session.deleted removed", "vm.changed vm", "session.changed kept",
	})
}

func testEpochOnce(t *testing.T, s Store) {
	vm := createVM(t, s, "vm")
	back := begin(t, s, banger.VM{ID: vm.ID, Epoch: banger.NewEpoch(), ParentEpoch: vm.Epoch})
	since := revision(t, s)
	_, err := s.BeginEpoch(t.Context(), banger.VM{ID: vm.ID, Epoch: back.Epoch, ParentEpoch: vm.Epoch}, nil)
	wantCode(t, err, banger.CodeExists, string(back.Epoch))
	_, err = s.BeginEpoch(t.Context(), newVM("without a parent"), nil)
	wantCode(t, err, banger.CodeInternal, "no other epoch")
	_, err = s.BeginEpoch(t.Context(), fork(vm, "vm"), nil)
	wantCode(t, err, banger.CodeExists, "vm")
	if got, err := s.UpdateVM(t.Context(), vm.ID, func(vm *banger.VM) error { vm.Epoch, vm.ParentEpoch = "x", ""; return nil }); err != nil || got.Epoch != back.Epoch || got.ParentEpoch != vm.Epoch {
		t.Errorf("a change like any other: %+v, %v", got, err)
	}
	wantEqual(t, "events", events(t, s, since), []banger.Event(nil))
}

func testLostPartings(t *testing.T, s Store) {
	vm := newVM("fork whose store was lost")
	vm.Epoch, vm.ParentEpoch = banger.NewEpoch(), "parent"
	if _, err := s.RestoreVM(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	x := standing(newSession(vm, "a"), "", 100)
	if _, err := s.RestoreSessions(t.Context(), []records.FoundSession{x}); err != nil {
		t.Fatal(err)
	}
	root := lineage.Step{Epoch: "parent"}
	wantLines(t, s, x.Key(), "", lineage.Line{root, {Epoch: vm.Epoch, Began: point(0)}}, lineage.Line{root})
	if got, err := s.GetSession(t.Context(), x.Key()); err != nil || got.Epoch != vm.Epoch {
		t.Errorf("%+v, %v", got, err)
	}
}

func testEpochsForgotten(t *testing.T, s Store) {
	source := createVM(t, s, "source")
	a := createSession(t, s, source, "a")
	forked := begin(t, s, fork(source, "fork"), standing(a, "", 10))
	child := begin(t, s, fork(forked, "child"), standing(a, "", 20))
	for _, vm := range []banger.VM{source, forked} {
		if err := s.DeleteVM(t.Context(), vm.ID); err != nil {
			t.Fatal(err)
		}
	}
	key := banger.SessionKey{VM: child.ID, Session: a.ID}
	line := lineage.Line{{Epoch: source.Epoch}, {Epoch: forked.Epoch, Began: point(10)}, {Epoch: child.Epoch, Began: point(20)}}
	wantLines(t, s, key, forked.Epoch, line, line[:2])
	other := createVM(t, s, "of no tree of theirs")
	if err := s.DeleteVM(t.Context(), child.ID); err != nil {
		t.Fatal(err)
	}
	own := lineage.Line{{Epoch: other.Epoch}}
	wantLines(t, s, banger.SessionKey{VM: other.ID, Session: a.ID}, child.Epoch, own, lineage.Line{{Epoch: child.Epoch}})
}

// testEpochModel makes a deep tree of forks and restores, and compares all lines.
func testEpochModel(t *testing.T, s Store) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	root := createVM(t, s, "root")
	x := createSession(t, s, root, "a")
	vms := []banger.VM{root}
	lines := map[banger.Epoch]lineage.Line{root.Epoch: {{Epoch: root.Epoch}}}
	epochs := []banger.Epoch{root.Epoch}
	steps := 60
	if testing.Short() {
		steps = 15
	}
	for n := range steps {
		parent, at := epochs[random.IntN(len(epochs))], int64(n)
		if random.IntN(2) == 0 {
			parent = epochs[len(epochs)-1] // so that it gets deep
		}
		var vm banger.VM
		if i := random.IntN(len(vms)); random.IntN(3) > 0 {
			vm = begin(t, s, banger.VM{ID: vms[i].ID, Epoch: banger.NewEpoch(), ParentEpoch: parent}, standing(x, "", at))
			vms[i] = vm
		} else {
			vm = newVM(fmt.Sprint("vm", n))
			vm.ParentEpoch = parent
			vm = begin(t, s, vm, standing(x, "", at))
			vms = append(vms, vm)
		}
		line := lines[parent]
		lines[vm.Epoch] = append(line[:len(line):len(line)], lineage.Step{Epoch: vm.Epoch, Began: point(at)})
		epochs = append(epochs, vm.Epoch)
	}
	for _, vm := range vms {
		for _, of := range epochs {
			wantLines(t, s, banger.SessionKey{VM: vm.ID, Session: x.ID}, of, lines[vm.Epoch], lines[of])
		}
	}
}
