package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"banger/internal/vmm"
)

// How long after a connection for events broke the next one is tried, while the machine
// lives. QEMU closes none by itself.
const eventsRetry = time.Second

// FollowPauses implements vmm.PausingMachine.
func (m *machine) FollowPauses(ctx context.Context, f func(vmm.PauseStatus)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.live, cancel)()
	for {
		err := m.record.withSocket(ctx, eventsName, func(q *qmp) error { return followPauses(q, f) })
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, os.ErrNotExist) && !m.hasEnded() {
			return fmt.Errorf("cannot hear of pauses of machine %s, which an older banger has started: %w", m.record.Name, err)
		}
		select {
		case <-m.done: // a dying process closes its sockets first
			return nil
		case <-ctx.Done():
			return nil
		case <-time.After(eventsRetry):
		}
	}
}

// followPauses is FollowPauses on one connection. What an event says is asked again:
// the next one may have come meanwhile.
func followPauses(q *qmp, f func(vmm.PauseStatus)) error {
	var detail string
	changed := true
	q.hear = func(event qmpMessage) {
		switch event.Event {
		case "BLOCK_IO_ERROR":
			detail = ioError(event.Data)
		case "STOP", "RESUME":
			changed = true
		}
	}
	for {
		for changed {
			changed = false
			status, err := q.pause()
			if err != nil {
				return err
			}
			switch status.Pause {
			case vmm.PausedForStorage:
				status.Detail = detail
			case vmm.PausedByUser:
				status.Detail = "somebody has paused it by QEMU's control socket, and continues it there"
			}
			f(status)
		}
		if err := q.listen(); err != nil {
			return err
		}
	}
}

// ioError is what BLOCK_IO_ERROR says of a write that the host did not take.
func ioError(data json.RawMessage) string {
	var e struct {
		Reason string `json:"reason"` // strerror(3)
	}
	if json.Unmarshal(data, &e) != nil {
		return ""
	}
	return e.Reason
}

// pause asks for the machine's status.
func (q *qmp) pause() (vmm.PauseStatus, error) {
	var status struct {
		Running bool   `json:"running"`
		Status  string `json:"status"`
	}
	if err := q.execute("query-status", nil, &status); err != nil {
		return vmm.PauseStatus{}, err
	}
	switch {
	case status.Running:
		return vmm.PauseStatus{}, nil
	case status.Status == "io-error":
		return vmm.PauseStatus{Pause: vmm.PausedForStorage}, nil
	case status.Status == "paused":
		return vmm.PauseStatus{Pause: vmm.PausedByUser}, nil
	}
	return vmm.PauseStatus{}, nil // it begins, ends, or starts again
}

// Continue implements vmm.PausingMachine.
func (m *machine) Continue(ctx context.Context, why vmm.Pause) error {
	if m.hasEnded() {
		return vmm.ErrMachineGone
	}
	err := m.record.withQMP(ctx, func(q *qmp) error {
		status, err := q.pause()
		if err != nil || status.Pause != why || why == vmm.NotPaused {
			return err
		}
		return q.execute("cont", nil, nil)
	})
	return m.explain(ctx, "continue machine", err)
}
