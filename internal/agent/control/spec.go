package control

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"banger"
	"banger/internal/guestrpc"
	"banger/internal/sessiondir"
)

// spec returns a part of what a session was launched with, for a daemon that has lost
// that.
func (s *server) spec(_ context.Context, p guestrpc.SpecParams) (guestrpc.SpecPart, error) {
	x, err := s.find(p.ID)
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
