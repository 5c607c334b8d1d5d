//go:build !unit

package session_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/records"
	"banger/internal/session"
	"banger/internal/store"
)

// life is the model of a VM: what its one session has written. Epochs are in the model by
// themselves: a VM may be set back to one that no VM is in any more.
type life struct {
	vm   banger.VM
	text []byte
}

// epochModel is all that the epochs of a tree have in common.
type epochModel struct {
	parent banger.Epoch
	at     int64  // where it parted from it
	text   []byte // as it was last; its cursors are positions in it
}

// branches is a tree of VMs in memory, with guests that know of no epochs.
type branches struct {
	*session.Streams
	store  *store.Store
	x      banger.Session // in all of them
	lives  []*life
	epochs map[banger.Epoch]*epochModel
	order  []banger.Epoch
}

// Guest implements session.Guests.
func (b *branches) Guest(_ context.Context, id banger.VMID) (guestapi.Guest, error) {
	i := slices.IndexFunc(b.lives, func(l *life) bool { return l.vm.ID == id })
	return &stub{readLog: func(_ context.Context, r guestapi.GuestLogRead) (guestapi.GuestLogPage, error) {
		text, at := b.lives[i].text, r.Cursor.Stdout
		if r.Cursor.Epoch != "" || at > int64(len(text)) {
			return guestapi.GuestLogPage{}, banger.Errorf(banger.CodeInternal, "a guest is asked for %+v of %d bytes", r.Cursor, len(text))
		}
		page := guestapi.GuestLogPage{Begin: r.Cursor, Next: banger.LogCursor{Stdout: int64(len(text))}, AtEnd: true, Ended: true}
		if at < int64(len(text)) {
			page.Chunks = []banger.LogChunk{{Stream: banger.StreamStdout, Offset: at, Data: text[at:]}}
		}
		return page, nil
	}}, nil
}

// Refused implements session.Guests.
func (b *branches) Refused(banger.VMID) error { return nil }

func newBranches(t *testing.T) *branches {
	t.Helper()
	records, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	b := &branches{store: records, epochs: map[banger.Epoch]*epochModel{}}
	services := session.New(t.Context(), session.Config{Store: records.Sessions, VMs: records.VMs, Guests: b, Log: slog.New(slog.DiscardHandler)})
	b.Streams, _ = session.NewOutput(services, nil)
	t.Cleanup(func() {
		if err := errors.Join(services.Close(), records.Close()); err != nil {
			t.Error(err)
		}
	})
	if _, err := records.Images.PutImage(t.Context(), banger.Image{ID: "i", Name: "i"}); err != nil {
		t.Fatal(err)
	}
	vm, err := records.VMs.CreateVM(t.Context(), banger.VM{ID: banger.NewVMID(), Name: "root", ImageID: "i", State: banger.VMRunning})
	if err != nil {
		t.Fatal(err)
	}
	x := banger.Session{ID: banger.NewSessionID(), VMID: vm.ID, Name: "s"}
	x.Status = banger.StatusRunning
	if b.x, _, err = records.Sessions.CreateSession(t.Context(), x, ""); err != nil {
		t.Fatal(err)
	}
	b.enter(&life{vm: vm}, "", 0)
	b.lives = append(b.lives, &life{vm: vm})
	return b
}

// enter notes that a VM is in an epoch that has just begun.
func (b *branches) enter(l *life, parent banger.Epoch, at int64) {
	b.epochs[l.vm.Epoch] = &epochModel{parent: parent, at: at, text: slices.Clone(l.text)}
	b.order = append(b.order, l.vm.Epoch)
}

func (b *branches) write(l *life, text string) {
	l.text = append(l.text, text...)
	b.epochs[l.vm.Epoch].text = slices.Clone(l.text)
}

// begin forks what an epoch had written at a place, as a new VM or over one that there is.
func (b *branches) begin(t *testing.T, l *life, parent banger.Epoch, at int64) {
	t.Helper()
	l.text = slices.Clone(b.epochs[parent].text[:at])
	x := b.x
	x.StdoutBytes = at
	vm, err := b.store.VMs.BeginEpoch(t.Context(), banger.VM{ID: l.vm.ID, Name: l.vm.Name, ImageID: "i", State: banger.VMRunning, Epoch: banger.NewEpoch(), ParentEpoch: parent},
		[]records.FoundSession{{Session: x}})
	if err != nil {
		t.Fatal(err)
	}
	l.vm = vm
	b.enter(l, parent, at)
}

// common returns how much two epochs share, and whether of is own or an ancestor of it.
func (b *branches) common(own, of banger.Epoch) (at int64, ancestor bool) {
	below := map[banger.Epoch]int64{} // of the ancestors of own, how much own has of them
	at = 1 << 62
	for e := own; e != ""; e = b.epochs[e].parent {
		below[e] = at
		at = min(at, b.epochs[e].at)
	}
	at = 1 << 62
	for e := of; e != ""; e = b.epochs[e].parent {
		if mine, ok := below[e]; ok {
			return min(at, mine), e == of
		}
		at = min(at, b.epochs[e].at)
	}
	return 0, false
}

// read reads by a cursor and compares the answer, or the refusal, with the model.
func (b *branches) read(t *testing.T, l *life, of banger.Epoch, at int64) {
	t.Helper()
	var got []byte
	end, err := b.ReadLogs(t.Context(), string(l.vm.ID), string(b.x.ID),
		banger.LogRequest{Cursor: &banger.LogCursor{Epoch: of, Stdout: at}}, func(c banger.LogChunk) error {
			got = append(got, c.Data...)
			return nil
		})
	claimed := of
	if of == "" {
		claimed = b.order[0]
	}
	common, ancestor := b.common(l.vm.Epoch, claimed)
	what := fmt.Sprintf("position %d of epoch %q in %s, which have %d bytes in common", at, of, l.vm.Epoch, common)
	if ancestor && at <= common {
		seen := b.epochs[claimed].text[:at]
		switch {
		case err != nil:
			t.Errorf("%s: %v", what, err)
		case string(seen)+string(got) != string(l.text):
			t.Errorf("%s: the client has %q and gets %q, but there is %q", what, seen, got, l.text)
		case end.Next != banger.LogCursor{Epoch: l.vm.Epoch, Stdout: int64(len(l.text))}:
			t.Errorf("%s: the next position is %+v", what, end.Next)
		}
		return
	}
	refused, ok := errors.AsType[*banger.Error](err)
	if !ok || refused.Code != banger.CodeStaleEpoch || refused.Parted == nil || refused.Parted.Stdout != common || refused.Parted.Epoch != l.vm.Epoch || got != nil {
		t.Errorf("%s: %q, %+v", what, got, err)
	}
}

// Forks of forks and restores of older snapshots, any of them, at random: no cursor is ever
// answered with other bytes than those that its client has seen the beginning of.
func TestEpochs_NoCursorIsAnsweredWithWrongBytes(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	b := newBranches(t)
	for n := range 150 {
		l := b.lives[random.IntN(len(b.lives))]
		parent := b.order[random.IntN(len(b.order))]
		if random.IntN(2) == 0 {
			parent = l.vm.Epoch // which makes the tree deep
		}
		since := b.epochs[parent].at
		at := since + random.Int64N(int64(len(b.epochs[parent].text))-since+1)
		switch random.IntN(6) {
		case 0:
			l = &life{vm: banger.VM{ID: banger.NewVMID(), Name: fmt.Sprint("vm", n)}}
			b.lives = append(b.lives, l)
			b.begin(t, l, parent, at)
		case 1:
			b.begin(t, l, parent, at)
		default:
			b.write(l, fmt.Sprintf("%d;", n))
		}
		for range 5 {
			of := b.order[random.IntN(len(b.order))]
			position := random.Int64N(int64(len(b.epochs[of].text)) + 1)
			b.read(t, b.lives[random.IntN(len(b.lives))], of, position)
			b.read(t, b.lives[random.IntN(len(b.lives))], "", min(position, int64(len(b.epochs[b.order[0]].text))))
		}
	}
}
