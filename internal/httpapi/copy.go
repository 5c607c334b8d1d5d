package httpapi

import (
	"context"
	"net"
	"net/http"

	"banger"
	"banger/api"
)

// Copies copies files; session.Copies does.
type Copies interface {
	// CopyFiles finds a VM and returns what serves one copy on a connection, until that or ctx
	// ends, and closes it.
	CopyFiles(ctx context.Context, vm string) (serve func(ctx context.Context, conn net.Conn), err error)
}

// copyFiles makes the connection one to the files of a VM.
func (s *server) copyFiles(w http.ResponseWriter, r *http.Request, q api.VMRef) error {
	if r.ContentLength != 0 {
		return banger.Errorf(banger.CodeInvalid, "cannot copy: the request has a body").
			WithHint("send frames behind the request, without Content-Length and Transfer-Encoding")
	}
	ctx := untilTheEnd(r.Context())
	serve, err := s.Copies.CopyFiles(ctx, q.VM)
	if err != nil {
		return err
	}
	return switchTo(ctx, w, api.CopyProtocol, func(conn net.Conn) { serve(ctx, conn) })
}
