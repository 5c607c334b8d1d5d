package control

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"banger"
	"banger/internal/agent/shimclient"
	"banger/internal/guestapi"
	"banger/internal/guestrpc"
	"banger/internal/sessiondir"
)

// inspector answers what a list does not say about a session.
type inspector struct {
	registry *registry
}

// inspect returns a session's state with the counters as they are now, if its shim
// can be asked, else as they were last reported.
func (i *inspector) inspect(ctx context.Context, p guestrpc.IDParams) (guestapi.GuestSession, error) {
	x, err := i.registry.find(p.ID)
	if err != nil {
		return guestapi.GuestSession{}, err
	}
	known, _ := x.current()
	report := x.reportOf(known)
	if report.Status.Ended() || report.Status == banger.StatusStarting {
		return report, nil
	}
	state, err := shimclient.Inspect(ctx, x.dir)
	if err != nil {
		return report, ctx.Err()
	}
	return x.reportOf(state), nil
}

// spec returns a part of what a session was launched with, for a daemon that has lost
// that.
func (i *inspector) spec(_ context.Context, p guestrpc.SpecParams) (guestrpc.SpecPart, error) {
	x, err := i.registry.find(p.ID)
	if err != nil {
		return guestrpc.SpecPart{}, err
	}
	file, err := os.Open(filepath.Join(x.dir, sessiondir.SpecName))
	if err != nil {
		return guestrpc.SpecPart{}, banger.Errorf(banger.CodeCorrupt, "cannot read the launch of session %s: %w", p.ID, err)
	}
	defer file.Close()
	data := make([]byte, guestrpc.MaxSpecPart)
	n, err := file.ReadAt(data, p.Offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return guestrpc.SpecPart{}, banger.Errorf(banger.CodeCorrupt, "cannot read the launch of session %s: %w", p.ID, err)
	}
	return guestrpc.SpecPart{Data: data[:n], End: err != nil}, nil
}
