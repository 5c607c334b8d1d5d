package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/creachadair/jrpc2"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestbudget"
	"banger/internal/guestrpc"
	"banger/internal/jsonshape"
)

// caller is the requests to a control process, and the changes that it reports.
type caller struct {
	rpc     *jrpc2.Client
	outbox  *outbox
	turn    turns
	changes *changes
	ended   chan struct{} // closed when the exec channel is
	cause   error         // why, where it is known; set before that

	loginShells, copies bool // as in GuestHello; set before anybody gets to use this
}

func (c *caller) startRPC(ctx context.Context, channel *guestrpc.Channel) {
	started := make(chan struct{})
	// The RPC client has a goroutine for each message that waits for its lock. To
	// queue for the lock before each Recv keeps a flood of messages in the guest.
	c.outbox = newOutbox(channel, c.turn, func() { <-started; c.rpc.IsStopped() })
	c.rpc = jrpc2.NewClient(c.outbox, &jrpc2.ClientOptions{
		OnNotify: c.changes.notify,
		OnCancel: func(cli *jrpc2.Client, rsp *jrpc2.Response) {
			// The guest need not work for nobody. A failure means that the link
			// is down, which ends the work too. It does not block: see outbox.
			_ = cli.Notify(ctx, "rpc.cancel", []json.RawMessage{json.RawMessage(rsp.ID())})
		},
		OnStop: func(_ *jrpc2.Client, err error) {
			if isNonsense(err) {
				c.cause = err
			}
			close(c.ended)
		},
	})
	close(started)
}

func (c *caller) hasEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// hello asks who is there. To ask again is a sign of life.
func (c *caller) hello(ctx context.Context) (guestapi.GuestHello, error) {
	var hello guestapi.GuestHello
	if err := c.call(ctx, guestrpc.MethodHello, nil, &hello); err != nil {
		return hello, fmt.Errorf("cannot greet the guest: %w", err)
	}
	return hello, checkHello(hello)
}

// deliver passes changes to h until the control process or ctx ends.
func (c *caller) deliver(ctx context.Context, h guestapi.GuestHandler) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.ended:
			return c.endError()
		case <-c.changes.wake:
		}
		if err := c.flush(ctx, h); err != nil {
			return err
		}
	}
}

// endError says that the control process has ended, and why if that is known.
func (c *caller) endError() error {
	if c.cause != nil {
		return fmt.Errorf("%w: %w", errControlEnded, c.cause)
	}
	return errControlEnded
}

// flush passes what is pending to h.
func (c *caller) flush(ctx context.Context, h guestapi.GuestHandler) error {
	pending, err := c.changes.take()
	if err != nil {
		return err
	}
	defer c.changes.done(pending)
	for _, s := range pending {
		if err := h.GuestChanged(ctx, s.GuestSession); err != nil {
			return fmt.Errorf("cannot record session %s: %w", s.ID, err)
		}
	}
	return nil
}

// call does one request and decodes its answer.
func (c *caller) call(ctx context.Context, method string, params, result any) error {
	data, err := c.ask(ctx, method, params)
	if err != nil || result == nil {
		return err
	}
	if err := (jsonshape.Shape{Values: guestbudget.AnswerValues}).Check(data); err != nil {
		return misunderstood("answer", "the one to %s: %w", method, err)
	}
	defer c.turn.take(len(data))()
	if err := json.Unmarshal(data, result); err != nil {
		return misunderstood("answer", "the one to %s: %w", method, err)
	}
	return nil
}

// ask does one request and turns what went wrong into a banger.Error.
func (c *caller) ask(ctx context.Context, method string, params any) (json.RawMessage, error) {
	response, err := c.rpc.Call(ctx, method, params)
	if err == nil {
		var result json.RawMessage // UnmarshalResult copies once, ResultString and its conversion twice
		err = response.UnmarshalResult(&result)
		return result, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	refused, ok := errors.AsType[*jrpc2.Error](err)
	if !ok || c.rpc.IsStopped() && refused.Code != guestrpc.CodeBanger {
		return nil, banger.Errorf(banger.CodeUnavailable, "cannot reach the guest: %w", err)
	}
	var e banger.Error
	if refused.Code == guestrpc.CodeBanger && json.Unmarshal(refused.Data, &e) == nil && e.Code != "" {
		return nil, refusal(&e)
	}
	return nil, banger.Errorf(banger.CodeInternal, "cannot %s in the guest: %s", method, clip(refused.Message))
}
