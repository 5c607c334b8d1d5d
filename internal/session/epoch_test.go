//go:build !unit

package session_test

import (
	"errors"
	"strings"
	"testing"

	"banger"
	"banger/internal/hosttest"
	"banger/sessionstream"
)

// readAt reads a session's stdout by a cursor, through the API.
func readAt(t *testing.T, h *hosttest.Host, vm string, of banger.Epoch, at int64) (text string, end banger.LogEnd, err error) {
	t.Helper()
	var out strings.Builder
	end, err = h.Client().ReadLogs(t.Context(), vm, "s", banger.LogRequest{Cursor: &banger.LogCursor{Epoch: of, Stdout: at}}, func(c banger.LogChunk) error {
		out.Write(c.Data)
		return nil
	})
	return out.String(), end, err
}

func wantStale(t *testing.T, what string, err error, epoch banger.Epoch, stdout int64) {
	t.Helper()
	refused, ok := errors.AsType[*banger.Error](err)
	if !ok || refused.Code != banger.CodeStaleEpoch || refused.Parted == nil || refused.Parted.Epoch != epoch || refused.Parted.Stdout != stdout || refused.Hint == "" {
		t.Errorf("%s: %+v", what, err)
	}
}

// attachStale attaches and wants to be refused.
func attachStale(t *testing.T, h *hosttest.Host, vm string, a sessionstream.Attach, epoch banger.Epoch, stdout int64) {
	t.Helper()
	a.AttachID = string(banger.NewSessionID())
	attachment, err := h.Client().Attach(t.Context(), vm, "s", a)
	if err == nil {
		attachment.Close()
	}
	refused, ok := errors.AsType[*sessionstream.Error](err)
	if !ok || refused.Code != sessionstream.CodeStaleEpoch || refused.Parted == nil || refused.Parted.Epoch != epoch || refused.Parted.Stdout != stdout {
		t.Errorf("an attach of %+v in %s: %+v", a, vm, err)
	}
}

// aBranchedHost has a VM whose session has written 4 bytes, then been forked and has
// written 4 more.
func aBranchedHost(t *testing.T) (h *hosttest.Host, source, forked banger.VM, older hosttest.Snapshot) {
	t.Helper()
	h = newHost(t)
	start(t, h, shell("s", "echo one; while read line; do echo $line; done"))
	until := func(text string) {
		if _, err := h.Streams.MatchSession(t.Context(), vmName, "s", banger.MatchRequest{Pattern: text}); err != nil {
			t.Fatal(err)
		}
	}
	until("one")
	older = h.Snapshot(vmName)
	forked = h.Fork(older, "fork")
	send(t, h, "s", "two\n", false)
	until("two")
	source, err := h.VMs.GetVM(t.Context(), vmName)
	if err != nil {
		t.Fatal(err)
	}
	return h, source, forked, older
}

func TestEpochs_AForkServesWhatItSharesAndRefusesTheRest(t *testing.T) {
	h, source, forked, _ := aBranchedHost(t)
	if source.Epoch != banger.Epoch(source.ID) || source.ParentEpoch != "" || forked.ParentEpoch != source.Epoch || forked.Epoch == source.Epoch {
		t.Fatalf("%+v and %+v", source, forked)
	}
	if text, end, err := readAt(t, h, vmName, source.Epoch, 4); err != nil || text != "two\n" || end.Next.Epoch != source.Epoch {
		t.Errorf("the source: %q, %+v, %v", text, end, err)
	}
	if text, end, err := readAt(t, h, "fork", source.Epoch, 1); err != nil || text != "ne\n" || end.Next != (banger.LogCursor{Epoch: forked.Epoch, Stdout: 4}) {
		t.Errorf("what the fork has of the source: %q, %+v, %v", text, end, err)
	}
	if text, _, err := readAt(t, h, "fork", "", 4); err != nil || text != "" {
		t.Errorf("without an epoch, where they part: %q, %v", text, err)
	}
	for _, of := range []banger.Epoch{source.Epoch, ""} {
		_, _, err := readAt(t, h, "fork", of, 5)
		wantStale(t, "past the parting in the fork", err, forked.Epoch, 4)
	}
	for _, at := range []int64{0, 4, 8} {
		_, _, err := readAt(t, h, vmName, forked.Epoch, at)
		wantStale(t, "of the fork in the source", err, source.Epoch, 4)
	}
	_, _, err := readAt(t, h, vmName, "nobody's", 0)
	wantStale(t, "of no epoch at all", err, source.Epoch, 0)
	_, err = h.Client().ReadLogs(t.Context(), "fork", "s", banger.LogRequest{Stream: banger.StreamStdout, From: new(int64(8)), Epoch: source.Epoch}, func(banger.LogChunk) error { return nil })
	wantStale(t, "an offset of one stream", err, forked.Epoch, 4)
	_, err = h.Client().MatchSession(t.Context(), "fork", "s", banger.MatchRequest{Pattern: "x", Cursor: &banger.LogCursor{Epoch: source.Epoch, Stdout: 8}})
	wantStale(t, "a match", err, forked.Epoch, 4)
}

func TestEpochs_AnAttachmentIsOfItsBranch(t *testing.T) {
	h, source, forked, _ := aBranchedHost(t)
	at := func(epoch banger.Epoch, stdout int64) *banger.LogCursor {
		return &banger.LogCursor{Epoch: epoch, Stdout: stdout}
	}
	viewer, writer := sessionstream.RoleViewer, sessionstream.RoleWriter
	attachStale(t, h, "fork", sessionstream.Attach{Role: viewer, From: at(source.Epoch, 8)}, forked.Epoch, 4)
	attachStale(t, h, "fork", sessionstream.Attach{Role: viewer, Resume: true, From: at("", 8)}, forked.Epoch, 4)
	attachStale(t, h, "fork", sessionstream.Attach{Role: writer, Resume: true, From: at("", 4)}, forked.Epoch, 4)
	attachStale(t, h, "fork", sessionstream.Attach{Role: writer, Resume: true, From: at(source.Epoch, 4), Stdin: &sessionstream.StdinPosition{Epoch: source.Epoch, Offset: 4}}, forked.Epoch, 4)
	attachStale(t, h, "fork", sessionstream.Attach{Role: writer, Resume: true, NoOutput: true, Stdin: &sessionstream.StdinPosition{Offset: 4}}, forked.Epoch, 4)
	attachStale(t, h, vmName, sessionstream.Attach{Role: viewer, From: at(forked.Epoch, 0)}, source.Epoch, 4)

	a, err := h.Client().Attach(t.Context(), "fork", "s", sessionstream.Attach{Role: viewer, From: at(source.Epoch, 2)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if got := receiveUntil(t, a, ""); got != "e\n" || *a.Attached().Output != *at(forked.Epoch, 2) {
		t.Errorf("what the fork shares: %q, %+v", got, a.Attached().Output)
	}
	a, err = h.Client().Attach(t.Context(), vmName, "s", sessionstream.Attach{Role: writer, From: at("", 0)})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if a.Attached().Stdin.Epoch != source.Epoch || a.Attached().Output.Epoch != source.Epoch || a.Attached().Revision != sessionstream.Revision {
		t.Errorf("%+v", a.Attached())
	}
	h.Restart() // it comes back with its positions
	if _, err := a.Write([]byte("three\n")); err != nil {
		t.Fatal(err)
	}
	if got := receiveUntil(t, a, "three\n"); got != "one\ntwo\nthree\n" {
		t.Errorf("over two daemons: %q", got)
	}
}

func TestEpochs_StdinIsOfItsBranch(t *testing.T) {
	h, source, forked, _ := aBranchedHost(t)
	post := func(epoch banger.Epoch, offset int64, text string) (banger.SendResult, error) {
		return h.Client().SendSession(t.Context(), vmName, "s", banger.SendRequest{Data: strings.NewReader(text), Offset: &offset, Epoch: epoch})
	}
	for _, offset := range []int64{0, 4} {
		_, err := post(forked.Epoch, offset, "wrong\n")
		wantStale(t, "of the fork", err, source.Epoch, 4)
	}
	for range 2 { // the second is the same bytes again
		if r, err := post(source.Epoch, 4, "three\n"); err != nil || r.Offset != 10 || r.Epoch != source.Epoch {
			t.Errorf("%+v, %v", r, err)
		}
	}
	send(t, h, "s", "", true)
	wait(t, h, "s")
	if got := read(t, h, "s", all); got != "one\ntwo\nthree\n" {
		t.Errorf("%q", got)
	}
}

func TestEpochs_AnOlderSnapshotFencesWhatWasLater(t *testing.T) {
	h, source, forked, older := aBranchedHost(t)
	later := start(t, h, shell("later", "exit 0"))
	wait(t, h, "later")
	h.PowerOff(source.ID)
	if _, err := h.VMs.StopVM(t.Context(), vmName, banger.VMStopRequest{}); err != nil {
		t.Fatal(err)
	}
	if text, _, err := readAt(t, h, vmName, source.Epoch, 4); err != nil || text != "two\n" {
		t.Errorf("a stop begins no epoch: %q, %v", text, err)
	}
	back := h.SetBack(source, older)
	for _, of := range []banger.Epoch{source.Epoch, ""} {
		_, _, err := readAt(t, h, vmName, of, 8)
		wantStale(t, "a cursor that was later", err, back.Epoch, 4)
	}
	if text, end, err := readAt(t, h, vmName, source.Epoch, 3); err != nil || text != "\n" || end.Next.Epoch != back.Epoch {
		t.Errorf("what is older: %q, %+v, %v", text, end, err)
	}
	_, _, err := readAt(t, h, vmName, forked.Epoch, 4)
	wantStale(t, "a cousin's", err, back.Epoch, 4)
	if _, err := h.Sessions.GetSession(t.Context(), vmName, string(later.ID)); banger.CodeOf(err) != banger.CodeNotFound {
		t.Errorf("a session that was started later: %v", err)
	}
	if _, err := h.VMs.StartVM(t.Context(), vmName); err != nil {
		t.Fatal(err)
	}
	if vm, err := h.VMs.StopVM(t.Context(), vmName, banger.VMStopRequest{}); err != nil || vm.Epoch != back.Epoch || vm.ParentEpoch != source.Epoch {
		t.Errorf("after a start and a stop: %+v, %v", vm, err)
	}
	_, _, err = readAt(t, h, vmName, source.Epoch, 8)
	wantStale(t, "and a start later", err, back.Epoch, 4)
	if err := h.Sessions.RemoveSession(t.Context(), "fork", "s", false); banger.CodeOf(err) == banger.CodeNotFound {
		t.Errorf("the fork's session: %v", err)
	}
	if x, err := h.Sessions.GetSession(t.Context(), vmName, "s"); err != nil || x.Epoch != back.Epoch || x.VMID != source.ID {
		t.Errorf("its twin: %+v, %v", x, err)
	}
}
