//go:build !unit

package machine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/hosttest"
)

// loseStore removes the store with all that SQLite has beside it.
func loseStore(t *testing.T, h *hosttest.Host) {
	t.Helper()
	files, err := filepath.Glob(h.Paths.Database() + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no store to lose: %v", err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

// keepStore copies the store as it is, and returns what puts the copy in its place.
func keepStore(t *testing.T, h *hosttest.Host) (restore func()) {
	t.Helper()
	kept := map[string][]byte{}
	h.RestartAfter(func() {
		data, err := os.ReadFile(h.Paths.Database())
		if err != nil {
			t.Fatal(err)
		}
		kept[h.Paths.Database()] = data
	})
	return func() {
		for path, data := range kept {
			_ = os.Remove(path + "-wal")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func start(t *testing.T, h *hosttest.Host, vm string, r banger.SessionRequest) banger.Session {
	t.Helper()
	if r.Command == "" {
		r.Command, r.Args = "/bin/sh", []banger.ByteString{"-c", "echo out; echo err >&2; exec cat"}
	}
	if r.StdinMode == "" {
		r.StdinMode = banger.StdinPipe
	}
	x, err := h.Sessions.StartSession(t.Context(), vm, r)
	if err != nil || x.Status.Ended() && x.EndedBy == banger.EndedByLaunch {
		t.Fatalf("%+v, %v", x.SessionState, err)
	}
	return x
}

func session(t *testing.T, h *hosttest.Host, vm, name string) banger.Session {
	t.Helper()
	x, err := h.Sessions.GetSession(t.Context(), vm, name)
	if err != nil {
		t.Fatal(err)
	}
	x.Revision, x.UpdatedAt, x.EndSeenAt = 0, time.Time{}, time.Time{} // they are the record's own
	// A guest of these tests has its sessions elsewhere than a disk tells.
	x.GuestStateDir, x.StdoutLogPath, x.StderrLogPath = "", "", ""
	return x
}

// feedToEnd sends the rest of a session's stdin and returns the ended session.
func feedToEnd(t *testing.T, h *hosttest.Host, vm, name, text string) banger.Session {
	t.Helper()
	if _, err := h.Streams.SendSession(t.Context(), vm, name, banger.SendRequest{Data: strings.NewReader(text), EOF: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Sessions.WaitSession(t.Context(), vm, name); err != nil {
		t.Fatal(err)
	}
	return session(t, h, vm, name)
}

func output(t *testing.T, h *hosttest.Host, vm, name string) string {
	t.Helper()
	var text bytes.Buffer
	_, err := h.Streams.ReadLogs(t.Context(), vm, name, banger.LogRequest{Stream: banger.StreamStdout, Lines: -1}, func(c banger.LogChunk) error {
		_, err := text.Write(c.Data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// settings are what a run does not change of a VM.
func settings(vm banger.VM) string {
	return fmt.Sprintf("%+v", banger.VM{
		ID: vm.ID, Name: vm.Name, ImageID: vm.ImageID, ImageName: vm.ImageName, Driver: vm.Driver, CPUs: vm.CPUs, MemoryMiB: vm.MemoryMiB,
		SystemDiskMiB: vm.SystemDiskMiB, WorkDiskMiB: vm.WorkDiskMiB, CreatedAt: vm.CreatedAt,
	})
}

func TestLostStore_NothingOfARunningAndOfAStoppedVMIsLost(t *testing.T) {
	h := hosttest.New(t, bin)
	running, stopped := h.StartVM("running"), h.StartVM("stopped")
	tagged := banger.SessionRequest{
		Name: "tagged", Tags: map[string]string{"k": "v"}, IdempotencyKey: "once",
		Launch: banger.Launch{Env: map[string]banger.ByteString{"A": "b"}},
	}
	for _, vm := range []string{"running", "stopped"} {
		start(t, h, vm, tagged)
		start(t, h, vm, banger.SessionRequest{Name: "ended"})
		h.WaitRecorded(feedToEnd(t, h, vm, "ended", "last\n"))
	}
	h.WaitRecorded(feedToEnd(t, h, "stopped", "tagged", "")) // the guest's clean stop does as much
	if _, err := h.VMs.StopVM(t.Context(), "stopped", banger.VMStopRequest{Grace: time.Minute}); err != nil {
		t.Fatal(err)
	}
	half := banger.NewVMID()
	if err := os.Mkdir(h.Paths.VM(half), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.Paths.VM(half), "system.img"), []byte("some"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := map[string][]banger.Session{}
	for _, vm := range []string{"running", "stopped"} {
		before[vm] = []banger.Session{session(t, h, vm, "tagged"), session(t, h, vm, "ended")}
	}

	h.RestartAfter(func() { loseStore(t, h) })

	waitState(t, h, "running", banger.VMRunning)
	for name, was := range map[string]banger.VM{"running": running, "stopped": stopped} {
		if is := get(t, h, name); settings(is) != settings(was) {
			t.Errorf("VM %s is\n%+v, it was\n%s", name, settings(is), settings(was))
		}
		for _, was := range before[name] {
			if is := session(t, h, name, was.Name); !reflect.DeepEqual(is, was) {
				t.Errorf("session %s of VM %s is\n%+v, it was\n%+v", was.Name, name, is, was)
			}
		}
		if got := output(t, h, name, "ended"); got != "out\nlast\n" {
			t.Errorf("output in VM %s: %q", name, got)
		}
	}
	if vm := get(t, h, "stopped"); vm.State != banger.VMStopped || vm.LastError != "" {
		t.Errorf("the stopped VM: %+v", vm)
	}
	// The key is known, too: who repeats a start that was carried out gets its session.
	if x := start(t, h, "running", tagged); x.ID != before["running"][0].ID {
		t.Errorf("a start with a known key made session %s", x.ID)
	}
	if x := feedToEnd(t, h, "running", "tagged", "in\n"); x.Status != banger.StatusExited {
		t.Errorf("the session that ran: %+v", x.SessionState)
	}
	if got := output(t, h, "running", "tagged"); got != "out\nin\n" {
		t.Errorf("output of the session that ran: %q", got)
	}
	trash, err := h.Trash.ListTrash(t.Context())
	if err != nil || len(trash) != 1 || trash[0].VMID != half {
		t.Fatalf("trash: %+v, %v", trash, err)
	}
	if data, err := os.ReadFile(filepath.Join(trash[0].Path, "system.img")); string(data) != "some" {
		t.Errorf("what was half made is %q, %v", data, err)
	}
	// All of this again: nothing is taken in twice.
	h.RestartAfter(func() { loseStore(t, h) })
	waitState(t, h, "running", banger.VMRunning)
	if sessions, err := h.Sessions.ListSessions(t.Context(), banger.SessionFilter{}); err != nil || len(sessions) != 4 {
		t.Errorf("%d sessions, %v", len(sessions), err)
	}
	if _, err := h.VMs.StartVM(t.Context(), "stopped"); err != nil {
		t.Errorf("start of the stopped VM: %v", err)
	}
}

func TestLostStore_SessionsThatEndedWithTheirMachineAreKnown(t *testing.T) {
	h := hosttest.New(t, bin)
	vm := h.StartVM("v")
	x := start(t, h, "v", banger.SessionRequest{Name: "s"})
	// It has been started, and need not have written anything yet.
	if _, err := h.Streams.MatchSession(t.Context(), "v", "s", banger.MatchRequest{Pattern: "^out$"}); err != nil {
		t.Fatal(err)
	}
	h.RestartAfter(func() {
		h.PowerOff(vm.ID)
		loseStore(t, h)
	})
	if vm := get(t, h, "v"); vm.State != banger.VMStopped {
		t.Errorf("%+v", vm)
	}
	got := session(t, h, "v", "s")
	if got.ID != x.ID || got.EndedBy != banger.EndedByVMLost || got.Command != x.Command || got.LastError == "" {
		t.Errorf("%+v", got)
	}
	if got := output(t, h, "v", "s"); got != "out\n" {
		t.Errorf("output: %q", got)
	}
}

func TestLostStore_SessionWithoutItsLaunchIsKnownByItsLogs(t *testing.T) {
	h := hosttest.New(t, bin)
	vm := h.StartVM("v")
	x := start(t, h, "v", banger.SessionRequest{Name: "s"})
	h.WaitRecorded(feedToEnd(t, h, "v", "s", ""))
	if _, err := h.VMs.StopVM(t.Context(), "v", banger.VMStopRequest{Grace: time.Minute}); err != nil {
		t.Fatal(err)
	}
	h.RestartAfter(func() {
		loseStore(t, h)
		spec := filepath.Join(h.SessionsDir(vm.ID), string(x.ID), "spec.json")
		if err := os.WriteFile(spec, []byte(strings.Repeat("[", 100)), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	got := session(t, h, "v", string(x.ID))
	if got.Status != banger.StatusExited || got.Command != "" || !strings.Contains(got.LastError, "spec.json") {
		t.Errorf("%+v", got)
	}
	if got := output(t, h, "v", got.Name); got != "out\n" {
		t.Errorf("output: %q", got)
	}
}

func TestRestoredStore_TellsWhatIsNowAndNotWhatWas(t *testing.T) {
	h := hosttest.New(t, bin)
	h.StartVM("stopped-then")
	if _, err := h.VMs.StopVM(t.Context(), "stopped-then", banger.VMStopRequest{Grace: time.Minute}); err != nil {
		t.Fatal(err)
	}
	h.StartVM("restarted")
	deleted := h.StartVM("deleted")
	again := h.StartVM("again")
	start(t, h, "deleted", banger.SessionRequest{Name: "s"})
	restore := keepStore(t, h)

	// What happens after the copy was made:
	if _, err := h.VMs.StartVM(t.Context(), "stopped-then"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.VMs.StopVM(t.Context(), "restarted", banger.VMStopRequest{Grace: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.VMs.StartVM(t.Context(), "restarted"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"deleted", "again"} {
		if err := h.VMs.DeleteVM(t.Context(), name, true); err != nil {
			t.Fatal(err)
		}
	}
	h.StartVM("again")
	h.StartVM("made-since")
	sessions := map[string]banger.Session{}
	for _, vm := range []string{"stopped-then", "restarted", "again", "made-since"} {
		sessions[vm] = start(t, h, vm, banger.SessionRequest{Name: "since"})
	}
	now := map[string]banger.VM{}
	for name := range sessions {
		now[name] = get(t, h, name)
	}

	h.RestartAfter(restore)

	for name, was := range now {
		waitState(t, h, name, banger.VMRunning)
		is := get(t, h, name)
		if settings(is) != settings(was) || !bytes.Equal(is.Machine, was.Machine) {
			t.Errorf("VM %s is\n%+v, it was\n%+v", name, is, was)
		}
		if x := feedToEnd(t, h, name, "since", "in\n"); x.ID != sessions[name].ID || x.Status != banger.StatusExited {
			t.Errorf("session of VM %s: %+v", name, x)
		}
	}
	gone := get(t, h, "deleted")
	if gone.ID != deleted.ID || gone.State != banger.VMFailed || gone.Machine != nil || !strings.Contains(gone.LastError, "is gone") {
		t.Errorf("the VM that was deleted: %+v", gone)
	}
	if x := session(t, h, "deleted", "s"); !x.Status.Ended() {
		t.Errorf("its session: %+v", x.SessionState)
	}
	if _, err := h.VMs.StartVM(t.Context(), "deleted"); banger.CodeOf(err) != banger.CodeCorrupt || !strings.Contains(err.Error(), "gone") {
		t.Errorf("its start: %v", err)
	}
	// The one whose name has been taken since gives way.
	if old := get(t, h, string(again.ID)); old.State != banger.VMFailed || old.Name != "again-"+string(again.ID[:6]) {
		t.Errorf("the VM whose name is another's: %+v", old)
	}
	for _, ref := range []string{string(deleted.ID), string(again.ID)} {
		if err := h.VMs.DeleteVM(t.Context(), ref, false); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
}

func TestLostStore_VMOfAnImageThatIsGoneIsKnown(t *testing.T) {
	h := hosttest.New(t, bin)
	vm := h.StartVM("v")
	start(t, h, "v", banger.SessionRequest{Name: "s"})
	h.WaitRecorded(feedToEnd(t, h, "v", "s", ""))
	if _, err := h.VMs.StopVM(t.Context(), "v", banger.VMStopRequest{Grace: time.Minute}); err != nil {
		t.Fatal(err)
	}
	const image = "abcdefghijklmnopqrst"
	h.RestartAfter(func() {
		loseStore(t, h)
		edit(t, filepath.Join(h.Paths.VM(vm.ID), "vm.json"), func(members map[string]any) { members["image_id"] = image })
	})
	if is := get(t, h, "v"); is.ImageID != image || is.ID != vm.ID {
		t.Errorf("%+v", is)
	}
	if got := output(t, h, "v", "s"); got != "out\n" {
		t.Errorf("output: %q", got)
	}
	// Once it is there, it is kept for the VM.
	if _, err := h.Store.Images.PutImage(t.Context(), banger.Image{ID: image, Name: "back"}); err != nil {
		t.Fatal(err)
	}
	if err := h.Store.Images.DeleteImage(t.Context(), image); banger.CodeOf(err) != banger.CodeInUse {
		t.Errorf("delete of the image: %v", err)
	}
}

// edit changes the members of a file's JSON.
func edit(t *testing.T, path string, change func(map[string]any)) {
	t.Helper()
	var members map[string]any
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &members)
	}
	if err != nil {
		t.Fatal(err)
	}
	change(members)
	if data, err = json.Marshal(members); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestVMFile_FollowsItsRecordAndComesToOlderVMs(t *testing.T) {
	h := hosttest.New(t, bin)
	vm := h.StartVM("v")
	path := filepath.Join(h.Paths.VM(vm.ID), "vm.json")
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(first), `"name": "v"`) || strings.Contains(string(first), "running") {
		t.Errorf("its file is %s", first)
	}
	// A VM of a banger that wrote none gets one.
	h.RestartAfter(func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	})
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, first) {
		t.Errorf("its file is now %s, %v", again, err)
	}
}

func TestTrash_TakesWhatNoVMIsKnownByAndNothingElse(t *testing.T) {
	h := hosttest.New(t, bin)
	live := h.StartVM("live")
	made := map[string]banger.VMID{}
	for _, kind := range []string{"empty", "damaged", "locked", "newer", "foreign", "other driver"} {
		made[kind] = banger.NewVMID()
		if err := os.Mkdir(h.Paths.VM(made[kind]), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	put := func(kind, name, text string) string {
		path := filepath.Join(h.Paths.VM(made[kind]), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	put("damaged", "vm.json", `{"version": 1, "name": "dam`)
	put("newer", "vm.json", `{"version": 999, "name": "newer"}`)
	put("foreign", "photo.jpg", "a photo")
	put("other driver", "vm.json", fmt.Sprintf(`{"version": 1, "id": %q, "name": "other", "driver": "of a later build"}`, made["other driver"]))
	disk, err := os.OpenFile(put("locked", "work.img", "a disk"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	lock := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart, Start: 100, Len: 1} // as QEMU's
	if err := unix.FcntlFlock(disk.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
		t.Fatal(err)
	}
	h.RestartAfter(func() {
		loseStore(t, h)
		if err := os.Remove(filepath.Join(h.Paths.VM(live.ID), "vm.json")); err != nil {
			t.Fatal(err)
		}
	})
	made["live"] = live.ID
	var trashed []banger.VMID
	all, err := h.Trash.ListTrash(t.Context())
	for _, x := range all {
		trashed = append(trashed, x.VMID)
		if x.Why == "" || x.Bytes == 0 || x.MovedAt.IsZero() || x.Busy != "" {
			t.Errorf("%+v", x)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	for kind, id := range made {
		want := kind == "empty" || kind == "damaged" || kind == "foreign"
		_, err := os.Stat(h.Paths.VM(id))
		if slices.Contains(trashed, id) != want || want != os.IsNotExist(err) {
			t.Errorf("what is %s: in the trash %v, in its place: %v", kind, slices.Contains(trashed, id), err)
		}
	}
	removed, err := h.Trash.EmptyTrash(t.Context())
	if err != nil || len(removed) != len(all) {
		t.Errorf("removed %+v, %v", removed, err)
	}
	for _, x := range all {
		if _, err := os.Stat(x.Path); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", x.Path, err)
		}
	}
	h.Driver.Crash(live.ID)
}

func TestTrash_WhatIsMovedBackIsKnownAgain(t *testing.T) {
	h := hosttest.New(t, bin)
	vm := h.StartVM("v")
	if _, err := h.VMs.StopVM(t.Context(), "v", banger.VMStopRequest{Grace: time.Minute}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(h.Paths.VM(vm.ID), "vm.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	h.RestartAfter(func() {
		loseStore(t, h)
		if err := os.Truncate(path, 3); err != nil {
			t.Fatal(err)
		}
	})
	trash, err := h.Trash.ListTrash(t.Context())
	if err != nil || len(trash) != 1 {
		t.Fatalf("%+v, %v", trash, err)
	}
	h.RestartAfter(func() {
		if err := os.Rename(trash[0].Path, h.Paths.VM(vm.ID)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	if is := get(t, h, "v"); settings(is) != settings(vm) {
		t.Errorf("%+v", is)
	}
}

func TestVM_DeletionThatACrashBrokeOffIsWholeOrNone(t *testing.T) {
	h := hosttest.New(t, bin)
	vm, err := h.VMs.CreateVM(t.Context(), banger.VMRequest{Name: "v"})
	if err != nil {
		t.Fatal(err)
	}
	// The directory has lost its name, and the record is still there.
	deleted := filepath.Join(h.Paths.VMs(), ".deleted-"+string(vm.ID))
	h.RestartAfter(func() {
		if err := os.Rename(h.Paths.VM(vm.ID), deleted); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := h.VMs.StartVM(t.Context(), "v"); err != nil {
		t.Errorf("the VM that was not deleted: %v", err)
	}
	if _, err := h.VMs.StopVM(t.Context(), "v", banger.VMStopRequest{Kill: true}); err != nil {
		t.Fatal(err)
	}
	// The record is gone, the rest is not.
	h.RestartAfter(func() {
		if err := os.Rename(h.Paths.VM(vm.ID), deleted); err != nil {
			t.Fatal(err)
		}
		loseStore(t, h)
	})
	if vms, err := h.VMs.ListVMs(t.Context()); err != nil || len(vms) != 0 {
		t.Errorf("%+v, %v", vms, err)
	}
	if _, err := os.Stat(deleted); !os.IsNotExist(err) {
		t.Errorf("files of a deleted VM are left: %v", err)
	}
}
