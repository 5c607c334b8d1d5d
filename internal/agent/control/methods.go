package control

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/handler"

	"banger"
	"banger/internal/agent/passwd"
	"banger/internal/guestapi"
	"banger/internal/guestrpc"
)

// methodCancel is a notification with the ids of requests to give up. It is part
// of the RPC library's conventions, not of our protocol.
const methodCancel = "rpc.cancel"

// server maps each method of the protocol to the part that answers it.
type server struct {
	version  string
	bootID   string
	powerOff func() error // nil where that is not ours to do

	pushes    *pushes
	clock     clock
	launcher  *launcher
	lister    *lister
	inspector *inspector
	stopper   *stopper
	remover   *remover
	logs      *logReader
}

// newServer makes all parts, and starts nothing.
func newServer(c Config, bootID string, tasks *tasks, standby *standby, logs *logWatcher, wire *guestrpc.Channel) *server {
	leftovers := leftovers{c.CgroupRoot}
	pushes := &pushes{ctx: tasks.ctx}
	turns := newTurns()
	settler := &settler{bootID: bootID, leftovers: leftovers, log: c.Logger}
	watcher := &watcher{settler: settler, turns: turns, tasks: tasks, log: c.Logger}
	registry := &registry{
		parent: c.SessionsDir, machineID: c.MachineID, pushes: pushes, settler: settler, watcher: watcher, tasks: tasks,
		sessions: map[banger.SessionID]*session{},
	}
	return &server{
		version: c.Version, bootID: bootID, powerOff: c.PowerOff, pushes: pushes, clock: clock{c.OwnsClock},
		launcher: &launcher{
			registry: registry, preflight: &preflight{users: passwd.System(), login: c.Login}, standby: standby,
			watcher: watcher, settler: settler, leftovers: leftovers, cgroupRoot: c.CgroupRoot, tasks: tasks, log: c.Logger,
		},
		lister:    &lister{registry: registry, turns: turns},
		inspector: &inspector{registry: registry},
		stopper:   &stopper{registry: registry, leftovers: leftovers},
		remover:   &remover{registry: registry, leftovers: leftovers},
		logs:      &logReader{registry: registry, watcher: logs, wire: wire, bootID: bootID},
	}
}

// methods is all that can be asked.
func (s *server) methods() handler.Map {
	methods := handler.Map{
		guestrpc.MethodHello:    method(s.hello),
		guestrpc.MethodList:     method(s.lister.list),
		guestrpc.MethodLaunch:   method(s.launcher.launch),
		guestrpc.MethodAbandon:  method(s.launcher.abandon),
		guestrpc.MethodStop:     method(s.stopper.stop),
		guestrpc.MethodReadLog:  method(s.logs.sendLog),
		guestrpc.MethodRemove:   method(s.remover.remove),
		guestrpc.MethodSignal:   method(s.stopper.signal),
		guestrpc.MethodInspect:  method(s.inspector.inspect),
		guestrpc.MethodSpec:     method(s.inspector.spec),
		guestrpc.MethodSetClock: method(s.clock.set),
		methodCancel:            cancelRequests,
	}
	if s.powerOff != nil {
		methods[guestrpc.MethodPowerOff] = method(func(context.Context, none) (none, error) { return nil, s.powerOff() })
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

// hello says who answers, and begins to push changes.
func (s *server) hello(ctx context.Context, _ none) (guestapi.GuestHello, error) {
	s.pushes.greet(jrpc2.ServerFromContext(ctx))
	return guestapi.GuestHello{Protocol: guestapi.GuestProtocol, Version: s.version, BootID: s.bootID, Clock: s.clock.now(), LoginShells: true, Copies: true}, nil
}
