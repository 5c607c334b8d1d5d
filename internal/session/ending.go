package session

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"banger"
	"banger/internal/vmm"
)

// The ends of sessions that are recorded in one transaction, for which all others wait: at
// most this number, or this number of bytes of what was read. They need less of a full disk than the store's
// reserve has.
const (
	endsAtOnce  = 1000
	endsAtBytes = 4 << 20
)

// What is read before it can be recorded: this number of transactions, each in steps of this size.
const (
	endsAhead   = 3
	readsInStep = 100
)

// ending records the ends of one VM's sessions when its machine has ended. While some are
// recorded, the next ones are read.
type ending struct {
	store Store
	log   *slog.Logger
	vm    banger.VMID
	end   vmm.MachineEnd
	ended map[banger.SessionID]bool // before it: only that no process of theirs is alive any more is recorded
}

// batch are sessions whose ends are recorded in one transaction.
type batch struct {
	ids   []banger.SessionID
	left  []remains // of each, the zero one of those that had ended
	bytes int       // that left has of a guest
}

// record records the ends of sessions.
func (e *ending) record(ctx context.Context, ids []banger.SessionID) error {
	group, ctx := errgroup.WithContext(ctx)
	read := make(chan batch, endsAhead)
	group.Go(func() error {
		defer close(read)
		if len(e.ended) == len(ids) {
			return passAll(ctx, read, ids, remains{})
		}
		return e.read(ctx, ids, read)
	})
	group.Go(func() error {
		for b := range read {
			if err := e.write(ctx, b); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

func pass(ctx context.Context, to chan<- batch, b batch) error {
	select {
	case to <- b:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// passAll passes on the same of all.
func passAll(ctx context.Context, to chan<- batch, ids []banger.SessionID, left remains) error {
	for ids := range slices.Chunk(ids, endsAtOnce) {
		if err := pass(ctx, to, batch{ids: ids, left: slices.Repeat([]remains{left}, len(ids))}); err != nil {
			return err
		}
	}
	return nil
}

// read passes on what is left of sessions on the disk of their machine. Of those that
// cannot be read it passes on why.
func (e *ending) read(ctx context.Context, ids []banger.SessionID, to chan<- batch) error {
	err := e.end.Disk(ctx, func(ctx context.Context, disk fs.FS) error {
		for len(ids) > 0 {
			b := e.readBatch(disk, ids)
			if ctx.Err() != nil {
				return context.Cause(ctx) // what was read last may lack something
			}
			if err := pass(ctx, to, b); err != nil {
				return err
			}
			ids = ids[len(b.ids):]
		}
		return nil
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	e.log.Error("cannot read what became of sessions", "vm", e.vm, "cause", err)
	return passAll(ctx, to, ids, remains{unread: fmt.Errorf("cannot read its record on the disk of its VM: %w", err)})
}

// readBatch reads as many of the first sessions as are recorded at once.
func (e *ending) readBatch(disk fs.FS, ids []banger.SessionID) (b batch) {
	for step := range slices.Chunk(ids[:min(len(ids), endsAtOnce)], readsInStep) {
		left := make([]remains, len(step))
		readers := runtime.GOMAXPROCS(0)
		var group errgroup.Group
		for first := range min(readers, len(step)) {
			group.Go(func() error {
				for i := first; i < len(step); i += readers {
					if !e.ended[step[i]] {
						left[i] = readRemains(disk, step[i])
					}
				}
				return nil
			})
		}
		_ = group.Wait() // each remains has its own error
		for _, r := range left {
			b.bytes += r.bytes()
		}
		b.left = append(b.left, left...)
		if b.ids = ids[:len(b.left)]; b.bytes >= endsAtBytes {
			break
		}
	}
	return b
}

// write records the ends of a batch. One that was removed meanwhile is passed over.
func (e *ending) write(ctx context.Context, b batch) error {
	left := make(map[banger.SessionID]remains, len(b.left))
	for i, r := range b.left {
		left[b.ids[i]] = r
	}
	return e.store.UpdateSessions(ctx, e.vm, b.ids, func(x *banger.Session) error {
		if !x.Status.Ended() {
			left[x.ID].recordEnd(x, e.end)
		}
		if x.Status.Ended() {
			x.Survivors = nil
		}
		return nil
	})
}
