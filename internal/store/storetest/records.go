package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"banger"
	"banger/internal/records"
)

func testVMRoundTrip(t *testing.T, s Store) {
	image := putImage(t, s, "img", "default")
	vm := newVM("one")
	vm.ImageID = image.ID
	one, err := s.CreateVM(t.Context(), vm)
	if err != nil {
		t.Fatal(err)
	}
	if one.Name != "one" || !one.CreatedAt.Equal(vm.CreatedAt) || one.UpdatedAt.IsZero() || one.Revision == 0 {
		t.Fatalf("created %+v", one)
	}
	two := createVM(t, s, "two")

	got, err := s.GetVM(t.Context(), one.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "VM", got, one)
	list, err := s.ListVMs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "list", list, []banger.VM{one, two})

	changed, err := s.UpdateVM(t.Context(), one.ID, func(vm *banger.VM) error {
		vm.State, vm.LastError = banger.VMStarting, "none"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if changed.Revision <= two.Revision || changed.UpdatedAt.Before(one.UpdatedAt) {
		t.Fatalf("changed to %+v", changed)
	}
	if got, err = s.GetVM(t.Context(), one.ID); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "changed VM", got, changed)
}

func testVMNames(t *testing.T, s Store) {
	createVM(t, s, "one")
	two := createVM(t, s, "two")
	_, err := s.CreateVM(t.Context(), newVM("one"))
	wantCode(t, err, banger.CodeExists, `"one"`)
	_, err = s.UpdateVM(t.Context(), two.ID, func(vm *banger.VM) error { vm.Name = "one"; return nil })
	wantCode(t, err, banger.CodeExists, `"one"`)
	if err := s.DeleteVM(t.Context(), two.ID); err != nil {
		t.Fatal(err)
	}
	createVM(t, s, "two")
}

func testVMImage(t *testing.T, s Store) {
	vm := newVM("one")
	vm.ImageID = "nowhere"
	_, err := s.CreateVM(t.Context(), vm)
	wantCode(t, err, banger.CodeNotFound, "nowhere")
}

func testVMMachine(t *testing.T, s Store) {
	vm := createVM(t, s, "one")
	set := func(ref string) banger.VM {
		vm, err := s.UpdateVM(t.Context(), vm.ID, func(vm *banger.VM) error {
			vm.Machine = json.RawMessage(ref)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return vm
	}
	before := revision(t, s)
	wantEqual(t, "changed VM's machine", string(set(`{"pid":7}`).Machine), `{"pid":7}`)
	got, err := s.GetVM(t.Context(), vm.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "stored machine", string(got.Machine), `{"pid":7}`)
	wantEqual(t, "revision after a change that nobody is told", revision(t, s), before)
	if data, err := json.Marshal(got); err != nil || strings.Contains(string(data), "pid") {
		t.Fatalf("JSON of the VM tells its machine: %s, %v", data, err)
	}
	if got := set(""); got.Machine != nil {
		t.Fatalf("a machine that was removed is %q", got.Machine)
	}
}

func testVMDelete(t *testing.T, s Store) {
	vm, other := createVM(t, s, "one"), createVM(t, s, "two")
	a, b := createSession(t, s, vm, "a"), createSession(t, s, vm, "b")
	kept := createSession(t, s, other, "a")
	since := revision(t, s)
	if err := s.DeleteVM(t.Context(), vm.ID); err != nil {
		t.Fatal(err)
	}
	left, err := s.ListSessions(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "what is left", left, []banger.Session{records.Short(kept)})
	var got []banger.Event
	for _, e := range events(t, s, since) {
		got = append(got, banger.Event{Revision: e.Revision, Kind: e.Kind, VM: e.VM, Session: e.Session})
	}
	a, b = records.Short(a), records.Short(b)
	a.Revision, b.Revision, vm.Revision = since+1, since+2, since+3
	wantEqual(t, "events", got, []banger.Event{
		{Revision: since + 1, Kind: banger.EventSessionDeleted, Session: &a},
		{Revision: since + 2, Kind: banger.EventSessionDeleted, Session: &b},
		{Revision: since + 3, Kind: banger.EventVMDeleted, VM: &vm},
	})
}

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

func testImageName(t *testing.T, s Store) {
	old := putImage(t, s, "old", "default")
	since := revision(t, s)
	again := putImage(t, s, "old", "default")
	wantEqual(t, "image put again", again, old)
	wantEqual(t, "revision after that", revision(t, s), since)
	young := putImage(t, s, "new", "default")
	images, err := s.ListImages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	old.Name, old.Revision = "", since+1
	wantEqual(t, "images", images, []banger.Image{old, young})
	putImage(t, s, "third", "default")
	putImage(t, s, "old", "default")
	images, err = s.ListImages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range images {
		names = append(names, string(i.ID)+"="+i.Name)
	}
	wantEqual(t, "names", names, []string{"old=default", "new=", "third="})
}

func testImageNames(t *testing.T, s Store) {
	ctx := t.Context()
	put := func(id banger.ImageID, name string, tags ...string) {
		t.Helper()
		if _, err := s.PutImage(ctx, banger.Image{ID: id, Name: name, Tags: tags}); err != nil {
			t.Fatal(err)
		}
	}
	names := func(want ...string) {
		t.Helper()
		images, err := s.ListImages(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, i := range images {
			got = append(got, string(i.ID)+"="+strings.Join(i.Names(), ","))
		}
		wantEqual(t, "names", got, want)
	}
	put("a", "node:22")
	put("a", "node:lts") // keeps what it has
	names("a=node:lts,node:22")
	put("b", "node:24", "latest")
	put("a", "", "latest", "mine")
	names("a=node:lts,latest,mine,node:22", "b=node:24")
	put("b", "node:lts") // a name of a is the name of b; another one takes its place
	names("a=latest,mine,node:22", "b=node:lts,node:24")
	if _, err := s.RemoveImageName(ctx, "a", "node:22"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RemoveImageName(ctx, "b", "not its"); err != nil {
		t.Fatal(err)
	}
	names("a=latest,mine", "b=node:lts,node:24")
	_, err := s.RemoveImageName(ctx, "c", "x")
	wantCode(t, err, banger.CodeNotFound, "c")
}

func testUnusedImages(t *testing.T, s Store) {
	used, free := putImage(t, s, "used", "used"), putImage(t, s, "free", "free")
	vm := newVM("one")
	vm.ImageID = used.ID
	if _, err := s.CreateVM(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	unused, err := s.ListUnusedImages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "unused images", unused, []banger.Image{free})
}

func testImageInUse(t *testing.T, s Store) {
	image := putImage(t, s, "img", "default")
	var vms []banger.VM
	for _, name := range []string{"one", "two"} {
		vm := newVM(name)
		vm.ImageID = image.ID
		vm, err := s.CreateVM(t.Context(), vm)
		if err != nil {
			t.Fatal(err)
		}
		vms = append(vms, vm)
	}
	wantCode(t, s.DeleteImage(t.Context(), image.ID), banger.CodeInUse, "one, two")
	for _, vm := range vms {
		if err := s.DeleteVM(t.Context(), vm.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DeleteImage(t.Context(), image.ID); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.DeleteImage(t.Context(), image.ID), banger.CodeNotFound, "img")
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

func testSessionResolve(t *testing.T, s Store) {
	vm, other := createVM(t, s, "one"), createVM(t, s, "two")
	createSession(t, s, other, "Build-other")
	a, b := createSession(t, s, vm, "Build"), createSession(t, s, vm, "Build-2")
	odd := createSession(t, s, vm, "Z\U0010ffff")
	for ref, want := range map[string]banger.Session{
		string(a.ID): a, "Build": a, "Build-": b, "Build-2": b, string(b.ID[:len(b.ID)-1]): b, "Z": odd, "Z\U0010ffff": odd,
	} {
		got, err := s.ResolveSession(t.Context(), vm.ID, ref)
		if err != nil {
			t.Fatalf("%q: %v", ref, err)
		}
		wantEqual(t, ref, got, want)
	}
	for ref, code := range map[string]banger.Code{
		"": banger.CodeInvalid, "Bui": banger.CodeAmbiguous, "Build-other": banger.CodeNotFound, "Y": banger.CodeNotFound, "\xff": banger.CodeNotFound, "a%": banger.CodeNotFound,
	} {
		_, err := s.ResolveSession(t.Context(), vm.ID, ref)
		wantCode(t, err, code, "")
		failed, _ := errors.AsType[*banger.Error](err)
		if want := map[banger.Code]int{banger.CodeAmbiguous: 2, banger.CodeNotFound: 3}[code]; len(failed.Candidates) != want {
			t.Errorf("%q: candidates %q", ref, failed.Candidates)
		}
	}
}

// testSessionPages changes what it reads between two pages: what is there all the while is
// in one of them.
func testSessionPages(t *testing.T, s Store) {
	vm, other := createVM(t, s, "one"), createVM(t, s, "two")
	var want []string
	var all []banger.Session
	for i := range 7 {
		x := createSession(t, s, vm, fmt.Sprint(i))
		createSession(t, s, other, fmt.Sprint(i))
		if i != 3 {
			want = append(want, x.Name)
		}
		all = append(all, x)
	}
	match := func(x banger.Session) bool { return x.Name != "3" }
	var got []string
	for after := int64(0); ; {
		page, next, err := s.PageSessions(t.Context(), records.SessionPageRequest{VM: vm.ID, Match: match, After: after, Limit: 2, Whole: true})
		if err != nil || len(page) > 2 || len(page) == 0 {
			t.Fatalf("a page of %d sessions, %v", len(page), err)
		}
		for _, x := range page {
			got = append(got, x.Name)
			wantEqual(t, "launch", x.Launch, all[0].Launch)
		}
		if last := page[len(page)-1]; last.Name == "1" {
			if err := s.DeleteSession(t.Context(), last.Key()); err != nil {
				t.Fatal(err)
			}
			createSession(t, s, vm, "7")
			want = append(want, "7")
		}
		if after = next; after == 0 {
			break
		}
	}
	wantEqual(t, "sessions of all pages", got, want)
}

func testSessionPageBytes(t *testing.T, s Store) {
	vm := createVM(t, s, "one")
	const sessions = 4 // of 3 MiB each
	for i := range sessions {
		x := newSession(vm, fmt.Sprint(i))
		x.Env = map[string]banger.ByteString{"BIG": banger.ByteString(strings.Repeat("x", 3<<20))}
		if _, _, err := s.CreateSession(t.Context(), x, ""); err != nil {
			t.Fatal(err)
		}
	}
	r := records.SessionPageRequest{Match: func(banger.Session) bool { return true }, Limit: 100, Whole: true}
	var sizes []int
	for {
		page, next, err := s.PageSessions(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(page))
		if r.After = next; next == 0 {
			break
		}
	}
	wantEqual(t, "sizes of pages", sizes, []int{3, 1})
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
