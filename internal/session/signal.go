package session

import (
	"context"
	"strconv"
	"strings"

	"banger"
)

// SignalSession implements banger.SessionControl.
func (s *Service) SignalSession(ctx context.Context, vmRef, ref string, r banger.SignalRequest) error {
	name, err := signalName(r.Signal)
	if err != nil {
		return err
	}
	x, err := s.GetSession(ctx, vmRef, ref)
	if err == nil {
		x, err = s.settled(ctx, x)
	}
	if err != nil {
		return err
	}
	if x.Status.Ended() {
		return banger.Errorf(banger.CodeState, "cannot signal session %q: it has ended", x.Name)
	}
	request := banger.GuestSignal{ID: string(banger.NewSessionID()), Signal: name, All: r.All}
	asked := 0
	err = s.withGuest(ctx, x.VMID, func(g banger.Guest) error {
		asked++
		return g.Signal(ctx, x.ID, request)
	})
	if asked > 1 && banger.CodeOf(err) == banger.CodeState {
		return banger.Errorf(banger.CodeUnavailable, "cannot tell whether session %q was signalled: the link broke, and it has ended since", x.Name)
	}
	return err
}

// signalName returns SIGHUP for hup, HUP and SIGHUP, and a number as it is.
func signalName(text string) (string, error) {
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		return text, nil
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	strange := func(c rune) bool { return (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '+' && c != '-' }
	if text == "" || strings.ContainsFunc(name, strange) {
		return "", banger.Errorf(banger.CodeInvalid, "cannot signal session: %.40q is no signal", text).
			WithHint("give a name such as HUP or USR1, or a number; signal(7) has them")
	}
	return name, nil
}
