package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"banger"
	"banger/internal/records"
)

func testSessionRoundTrip(t *testing.T, s Store) {
	vm := createVM(t, s, "one")
	want := newSession(vm, "a/b\n..")
	x, created, err := s.CreateSession(t.Context(), want, "")
	if err != nil || !created {
		t.Fatalf("created %v, error %v", created, err)
	}
	if x.CreatedAt.IsZero() || x.UpdatedAt.IsZero() || x.Revision != revision(t, s) {
		t.Fatalf("created %+v", x)
	}
	wantEqual(t, "launch", x.Launch, want.Launch)
	wantEqual(t, "tags", x.Tags, want.Tags)
	changed, err := s.UpdateSession(t.Context(), x.Key(), func(x *banger.Session) error {
		code := 3
		x.Status, x.ExitCode, x.EndedBy = banger.StatusFailed, &code, banger.EndedByExit
		x.Tags["more"] = "yes"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if changed.ExitCode == nil || *changed.ExitCode != 3 || changed.Revision <= x.Revision {
		t.Fatalf("changed to %+v", changed)
	}
	got, err := s.GetSession(t.Context(), x.Key())
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "launch after the change", got.Launch, want.Launch)
	wantEqual(t, "session in short", records.Short(got), changed)
	other := records.Short(createSession(t, s, createVM(t, s, "two"), "z"))
	list, err := s.ListSessions(t.Context(), vm.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "list of one VM", list, []banger.Session{changed})
	if list, err = s.ListSessions(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "list of all", list, []banger.Session{changed, other})
}

func testSessionNames(t *testing.T, s Store) {
	vm, other := createVM(t, s, "one"), createVM(t, s, "two")
	createSession(t, s, vm, "a")
	createSession(t, s, other, "a")
	_, _, err := s.CreateSession(t.Context(), newSession(vm, "a"), "")
	wantCode(t, err, banger.CodeExists, `"a"`)
}

func testIdempotency(t *testing.T, s Store) {
	vm, other := createVM(t, s, "one"), createVM(t, s, "two")
	ids := make([]banger.SessionID, 8)
	made := make([]bool, len(ids))
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			x, created, err := s.CreateSession(t.Context(), newSession(vm, "a"), "key")
			if err != nil {
				t.Error(err)
			}
			ids[i], made[i] = x.ID, created
		})
	}
	wg.Wait()
	first := 0
	for i := range ids {
		if made[i] {
			first++
		}
		wantEqual(t, "id", ids[i], ids[0])
	}
	wantEqual(t, "number of sessions made", first, 1)
	if x, created, err := s.CreateSession(t.Context(), newSession(other, "a"), "key"); err != nil || !created || x.ID == ids[0] {
		t.Fatalf("a key of another VM: created %v, error %v", created, err)
	}
	if x, err := s.FindSession(t.Context(), vm.ID, "key"); err != nil || x.ID != ids[0] {
		t.Errorf("the key leads to session %s, error %v", x.ID, err)
	}
	createSession(t, s, vm, "without a key")
	for _, key := range []string{"", "another"} {
		_, err := s.FindSession(t.Context(), vm.ID, key)
		wantCode(t, err, banger.CodeNotFound, key)
	}
}

func testFreedKey(t *testing.T, s Store) {
	vm := createVM(t, s, "one")
	create := func(name string) (banger.Session, bool) {
		t.Helper()
		x, created, err := s.CreateSession(t.Context(), newSession(vm, name), "key")
		if err != nil {
			t.Fatal(err)
		}
		return x, created
	}
	first, _ := create("a")
	fail := func(stage banger.LaunchStage) {
		t.Helper()
		_, err := s.UpdateSession(t.Context(), first.Key(), func(x *banger.Session) error {
			x.Status, x.EndedBy, x.LaunchStage = banger.StatusFailed, banger.EndedByLaunch, stage
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// The guest has answered: the key tells its answer for ever.
	fail(banger.StagePreflightCwd)
	if x, created := create("a"); created || x.ID != first.ID {
		t.Errorf("a failure of the guest's: created %v, session %s", created, x.ID)
	}
	for _, stage := range []banger.LaunchStage{banger.StageSSHUnavailable, banger.StageDialGuest, banger.StageUploadAgent} {
		fail(stage)
		_, err := s.FindSession(t.Context(), vm.ID, "key")
		wantCode(t, err, banger.CodeNotFound, "key")
		second, created := create("a")
		if !created || second.ID == first.ID || second.Name != "a" {
			t.Fatalf("stage %s: created %v: %+v", stage, created, second)
		}
		old, err := s.GetSession(t.Context(), first.Key())
		if err != nil || old.Name != "a-"+string(first.ID[:6]) || old.LaunchStage != stage {
			t.Errorf("stage %s: the first one became %+v, %v", stage, old, err)
		}
		if x, err := s.FindSession(t.Context(), vm.ID, "key"); err != nil || x.ID != second.ID {
			t.Errorf("stage %s: the key leads to session %s, %v", stage, x.ID, err)
		}
		first = second
	}
	// Nobody wants its name: it keeps that.
	fail(banger.StageDialGuest)
	if x, created := create("b"); !created || x.Name != "b" {
		t.Errorf("created %v: %+v", created, x)
	}
	if old, err := s.GetSession(t.Context(), first.Key()); err != nil || old.Name != "a" {
		t.Errorf("the first one became %+v, %v", old, err)
	}
}

func testSerialUpdates(t *testing.T, s Store) {
	x := createSession(t, s, createVM(t, s, "one"), "a")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				_, err := s.UpdateSession(t.Context(), x.Key(), func(x *banger.Session) error { x.StdinOffset++; return nil })
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got, err := s.GetSession(t.Context(), x.Key())
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "sum of 40 updates", got.StdinOffset, int64(40))
}

func testManyUpdates(t *testing.T, s Store) {
	vm := createVM(t, s, "one")
	a, b := createSession(t, s, vm, "a"), createSession(t, s, vm, "b")
	since := revision(t, s)
	ids := []banger.SessionID{a.ID, "nil", b.ID}
	cause := errors.New("no")
	err := s.UpdateSessions(t.Context(), vm.ID, ids, func(x *banger.Session) error {
		x.StdinOffset++
		if x.ID == b.ID {
			return cause
		}
		return nil
	})
	if !errors.Is(err, cause) {
		t.Fatalf("the error of a change became %v", err)
	}
	err = s.UpdateSessions(t.Context(), vm.ID, ids, func(x *banger.Session) error {
		x.Status, x.Tags = banger.StatusExited, map[string]string{"more": "yes"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range []*banger.Session{&a, &b} {
		got, err := s.GetSession(t.Context(), x.Key())
		if err != nil || got.Status != banger.StatusExited || got.Tags["more"] != "yes" || got.StdinOffset != x.StdinOffset {
			t.Errorf("%+v, %v", got, err)
		}
		wantEqual(t, "revision", got.Revision, since+int64(i)+1)
		*x = records.Short(got)
	}
	for i, e := range events(t, s, since) {
		wantEqual(t, "event", *e.Session, []banger.Session{a, b}[i])
	}
}

func testListsConcurrent(t *testing.T, s Store) {
	const sessions, updates = 4, 20
	vm := createVM(t, s, "one")
	var writers sync.WaitGroup
	defer writers.Wait()
	for i := range sessions {
		x := createSession(t, s, vm, fmt.Sprint(i))
		writers.Go(func() {
			for range updates {
				if _, err := s.UpdateSession(t.Context(), x.Key(), func(x *banger.Session) error { x.StdinOffset++; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	err := s.WatchEvents(t.Context(), 0, func(e banger.Event) error {
		for _, id := range []banger.VMID{vm.ID, ""} {
			list, err := s.ListSessions(t.Context(), id)
			if err != nil {
				return err
			}
			for _, x := range list {
				if e.Session != nil && x.ID == e.Session.ID && x.Revision < e.Revision {
					t.Errorf("after event %d the list has revision %d", e.Revision, x.Revision)
				}
			}
			clear(list) // it is the caller's
		}
		if e.Revision == 1+sessions+sessions*updates {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Error(err)
	}
}

func testTransitions(t *testing.T, s Store) {
	vm := createVM(t, s, "one")
	x := createSession(t, s, vm, "a")
	if _, err := s.UpdateSession(t.Context(), x.Key(), func(x *banger.Session) error { x.Status = banger.StatusExited; return nil }); err != nil {
		t.Fatal(err)
	}
	since := revision(t, s)
	_, err := s.UpdateVM(t.Context(), vm.ID, setState(banger.VMRunning))
	wantCode(t, err, banger.CodeState, "from stopped to running")
	_, err = s.UpdateSession(t.Context(), x.Key(), func(x *banger.Session) error { x.Status = banger.StatusRunning; return nil })
	wantCode(t, err, banger.CodeState, "from exited to running")
	wantEqual(t, "revision", revision(t, s), since)
	if got, err := s.GetVM(t.Context(), vm.ID); err != nil || got.State != banger.VMStopped {
		t.Fatalf("VM is %s, %v", got.State, err)
	}
}

func testFailedChange(t *testing.T, s Store) {
	vm := createVM(t, s, "one")
	since := revision(t, s)
	cause := errors.New("no")
	_, err := s.UpdateVM(t.Context(), vm.ID, func(vm *banger.VM) error { vm.Name = "other"; return cause })
	if !errors.Is(err, cause) {
		t.Fatalf("the error of the change became %v", err)
	}
	wantEqual(t, "revision", revision(t, s), since)
	got, err := s.GetVM(t.Context(), vm.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "VM", got, vm)
}

func testNoChange(t *testing.T, s Store) {
	vm := createVM(t, s, "one")
	x := createSession(t, s, vm, "a")
	gotVM, err := s.UpdateVM(t.Context(), vm.ID, func(*banger.VM) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "VM", gotVM, vm)
	got, err := s.UpdateSession(t.Context(), x.Key(), func(x *banger.Session) error { x.Revision, x.UpdatedAt = 77, x.CreatedAt; return nil })
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "session", got, records.Short(x))
	wantEqual(t, "revision", revision(t, s), x.Revision)
}

func testMissing(t *testing.T, s Store) {
	ctx := t.Context()
	_, err := s.GetVM(ctx, "nil")
	wantCode(t, err, banger.CodeNotFound, "nil")
	_, err = s.UpdateVM(ctx, "nil", setState(banger.VMStarting))
	wantCode(t, err, banger.CodeNotFound, "nil")
	wantCode(t, s.DeleteVM(ctx, "nil"), banger.CodeNotFound, "nil")
	_, err = s.GetSession(ctx, banger.SessionKey{Session: "nil"})
	wantCode(t, err, banger.CodeNotFound, "nil")
	_, err = s.UpdateSession(ctx, banger.SessionKey{Session: "nil"}, func(*banger.Session) error { return nil })
	wantCode(t, err, banger.CodeNotFound, "nil")
	wantCode(t, s.DeleteSession(ctx, banger.SessionKey{Session: "nil"}), banger.CodeNotFound, "nil")
	_, _, err = s.CreateSession(ctx, newSession(banger.VM{ID: "nil"}, "a"), "key")
	wantCode(t, err, banger.CodeNotFound, "VM nil")
	wantEqual(t, "revision", revision(t, s), int64(0))
}

func testSessionWait(t *testing.T, s Store) {
	vm := createVM(t, s, "one")
	x, other := createSession(t, s, vm, "a"), createSession(t, s, vm, "b")
	running := func(x banger.Session) bool { return x.Status != banger.StatusStarting } // or what comes after
	ended := func(x banger.Session) bool { return x.Status.Ended() }
	waits := make(chan error, 3)
	for range 3 {
		go func() {
			if _, err := s.WaitSession(t.Context(), x.Key(), running); err != nil {
				waits <- err
				return
			}
			got, err := s.WaitSession(t.Context(), x.Key(), ended)
			if err == nil && got.Status != banger.StatusExited {
				err = fmt.Errorf("%+v", got)
			}
			waits <- err
		}()
	}
	for _, id := range []banger.SessionKey{other.Key(), x.Key()} {
		for _, status := range []banger.Status{banger.StatusRunning, banger.StatusExited} {
			if _, err := s.UpdateSession(t.Context(), id, func(x *banger.Session) error { x.Status = status; return nil }); err != nil {
				t.Fatal(err)
			}
			if id == x.Key() && status == banger.StatusRunning {
				if _, err := s.WaitSession(t.Context(), x.Key(), running); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for range 3 {
		if err := <-waits; err != nil && banger.CodeOf(err) != "" {
			t.Error(err)
		}
	}
}

func testSessionWaitRemoved(t *testing.T, s Store) {
	vm := createVM(t, s, "one")
	x := createSession(t, s, vm, "a")
	looked, gone := make(chan struct{}, 1), make(chan error)
	go func() {
		got, err := s.WaitSession(t.Context(), x.Key(), func(banger.Session) bool {
			select {
			case looked <- struct{}{}:
			default:
			}
			return false
		})
		if got.Name != "a" {
			t.Errorf("the removed session is %+v", got)
		}
		gone <- err
	}()
	<-looked
	if err := s.DeleteSession(t.Context(), x.Key()); err != nil {
		t.Fatal(err)
	}
	wantCode(t, <-gone, banger.CodeGone, "removed")
	_, err := s.WaitSession(t.Context(), x.Key(), func(banger.Session) bool { return true })
	wantCode(t, err, banger.CodeNotFound, "")
}
