//go:build !unit

package session_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"banger"
	"banger/internal/guestapi"
)

// searchIn makes VMs with one session each, whose logs read gives, and searches in all.
func searchIn(t *testing.T, r *rig, status banger.Status, names []string, read func(name string, r guestapi.GuestLogRead) guestapi.GuestLogPage) (found, failed []string) {
	t.Helper()
	byID := map[banger.SessionID]string{}
	for _, name := range names {
		vm, err := r.store.VMs.CreateVM(t.Context(), banger.VM{ID: banger.NewVMID(), Name: name, ImageID: "i", State: banger.VMRunning})
		if err != nil {
			t.Fatal(err)
		}
		x := banger.Session{ID: banger.NewSessionID(), VMID: vm.ID, Name: "s", Launch: banger.Launch{Command: "x", StdinMode: banger.StdinPipe}}
		x.Status, x.StdoutBytes = status, 1<<61
		if _, _, err := r.store.Sessions.CreateSession(t.Context(), x, ""); err != nil {
			t.Fatal(err)
		}
		byID[x.ID] = name
	}
	r.guest.readLog = func(ctx context.Context, r guestapi.GuestLogRead) (guestapi.GuestLogPage, error) {
		return read(byID[r.ID], r), ctx.Err()
	}
	_, err := r.SearchSessions(t.Context(), banger.SearchRequest{Pattern: "needle"}, func(x banger.SearchResult) error {
		if x.Failure != nil {
			failed = append(failed, x.Failure.VM)
		} else {
			found = append(found, x.Hit.VM)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, failed
}

// pageOf is the next page of a log, with data.
func pageOf(r guestapi.GuestLogRead, data []byte) guestapi.GuestLogPage {
	p := guestapi.GuestLogPage{Begin: r.Cursor, Chunks: []banger.LogChunk{{Stream: banger.StreamStdout, Offset: r.Cursor.Stdout, Data: data}}}
	p.Next = p.Begin.Advance(p.Chunks[0])
	return p
}

func liars(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("liar%d", i))
	}
	return names
}

func TestSearch_LogThatDripsWithoutEndIsGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		_, failed := searchIn(t, r, banger.StatusRunning, liars(1), func(_ string, r guestapi.GuestLogRead) guestapi.GuestLogPage {
			if r.Tail != nil && *r.Tail == 0 {
				end := banger.LogCursor{Stdout: 1 << 61}
				return guestapi.GuestLogPage{Begin: end, Next: end, AtEnd: true}
			}
			time.Sleep(29 * time.Second)
			return pageOf(r, []byte("x"))
		})
		if len(failed) != 1 {
			t.Errorf("what drips is taken for a log: %v", failed)
		}
	})
}

func TestSearch_LogOfMoreThanThereCanBeIsGivenUp(t *testing.T) {
	page := make([]byte, guestapi.MaxLogPageBytes)
	inBubble(t, func(t *testing.T, r *rig) {
		read := int64(0)
		_, failed := searchIn(t, r, banger.StatusExited, liars(1), func(_ string, r guestapi.GuestLogRead) guestapi.GuestLogPage {
			read += int64(len(page))
			if read > 1<<30 {
				return guestapi.GuestLogPage{Begin: r.Cursor, Next: r.Cursor, AtEnd: true, Ended: true}
			}
			return pageOf(r, page)
		})
		if len(failed) != 1 || read > banger.DefaultLogLimit+128<<20 {
			t.Errorf("%d bytes were read of a log that keeps %d; failed: %v", read, banger.DefaultLogLimit, failed)
		}
	})
}

func TestSearch_SlowVMsDoNotKeepOthersWaiting(t *testing.T) {
	page := make([]byte, guestapi.MaxLogPageBytes)
	inBubble(t, func(t *testing.T, r *rig) {
		begun, asked := time.Now(), time.Time{}
		found, _ := searchIn(t, r, banger.StatusExited, append(liars(8), "honest"), func(name string, r guestapi.GuestLogRead) guestapi.GuestLogPage {
			if name != "honest" {
				time.Sleep(2 * time.Second)
				return pageOf(r, page)
			}
			asked = time.Now()
			p := pageOf(r, []byte("a needle\n"))
			p.AtEnd, p.Ended = true, true
			return p
		})
		if len(found) != 1 || asked.Sub(begun) > time.Minute {
			t.Errorf("the VM behind slow ones was searched after %s: %v", asked.Sub(begun), found)
		}
	})
}
