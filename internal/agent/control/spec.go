package control

import (
	"context"
	"os"

	"banger"
	"banger/internal/guestrpc"
	"banger/internal/sessiondir"
)

// spec returns what a session was launched with, for a daemon that has lost that.
func (s *server) spec(_ context.Context, p guestrpc.IDParams) (banger.GuestLaunch, error) {
	x, err := s.find(p.ID)
	if err != nil {
		return banger.GuestLaunch{}, err
	}
	return sessiondir.ReadSpec(os.DirFS(x.dir))
}
