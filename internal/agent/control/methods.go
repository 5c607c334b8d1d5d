package control

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/handler"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestrpc"
)

// methodCancel is a notification with the ids of requests to give up. It is part
// of the RPC library's conventions, not of our protocol.
const methodCancel = "rpc.cancel"

// methods is all that can be asked.
func (s *server) methods() handler.Map {
	methods := handler.Map{
		guestrpc.MethodHello:    method(s.hello),
		guestrpc.MethodList:     method(s.list),
		guestrpc.MethodLaunch:   method(s.launch),
		guestrpc.MethodAbandon:  method(s.abandon),
		guestrpc.MethodStop:     method(s.stop),
		guestrpc.MethodReadLog:  method(s.sendLog),
		guestrpc.MethodRemove:   method(s.remove),
		guestrpc.MethodSignal:   method(s.signal),
		guestrpc.MethodInspect:  method(s.inspect),
		guestrpc.MethodSpec:     method(s.spec),
		guestrpc.MethodSetClock: method(s.setClock),
		methodCancel:            cancelRequests,
	}
	if s.PowerOff != nil {
		methods[guestrpc.MethodPowerOff] = method(func(context.Context, none) (none, error) { return nil, s.PowerOff() })
	}
	return methods
}

// none is the parameters or the result of a method that has none: null.
type none = *struct{}

// method turns a function into a handler.
func method[P, R any](fn func(context.Context, P) (R, error)) jrpc2.Handler {
	return func(ctx context.Context, r *jrpc2.Request) (any, error) {
		var params P
		if err := r.UnmarshalParams(&params); err != nil {
			return nil, err
		}
		result, err := fn(ctx, params)
		if err != nil {
			return nil, rpcError(err)
		}
		return result, nil
	}
}

// rpcError puts an error into the form of the protocol.
func rpcError(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e := bangerError(err)
	return (&jrpc2.Error{Code: guestrpc.CodeBanger, Message: e.Message}).WithData(e)
}

// bangerError returns err with its code and its whole message.
func bangerError(err error) *banger.Error {
	var e *banger.Error
	if !errors.As(err, &e) {
		return banger.Errorf(banger.CodeInternal, "%w", err)
	}
	whole := *e
	whole.Message = err.Error()
	return &whole
}

func cancelRequests(ctx context.Context, r *jrpc2.Request) (any, error) {
	var ids []json.RawMessage
	if err := r.UnmarshalParams(&ids); err != nil {
		return nil, err
	}
	for _, id := range ids {
		jrpc2.ServerFromContext(ctx).CancelRequest(string(id))
	}
	return nil, nil
}

func (s *server) hello(context.Context, none) (guestapi.GuestHello, error) {
	s.greet()
	return guestapi.GuestHello{Protocol: guestapi.GuestProtocol, Version: s.Version, BootID: s.bootID, Clock: s.clock()}, nil
}
