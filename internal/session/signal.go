package session

import (
	"context"
	"strconv"
	"strings"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/signalname"
)

// SignalSession implements banger.SessionControl.
func (c *Control) SignalSession(ctx context.Context, vmRef, ref string, r banger.SignalRequest) error {
	name, err := signalName(r.Signal)
	if err != nil {
		return err
	}
	x, err := c.finder.session(ctx, vmRef, ref)
	if err == nil {
		x, err = c.launcher.settled(ctx, x)
	}
	if err != nil {
		return err
	}
	if x.Status.Ended() {
		return banger.Errorf(banger.CodeState, "cannot signal session %q: it has ended", x.Name)
	}
	request := guestapi.GuestSignal{ID: string(banger.NewSessionID()), Signal: name, All: r.All}
	asked := 0
	err = c.reach.withGuest(ctx, x.VMID, func(g guestapi.Guest) error {
		asked++
		return g.Signal(ctx, x.ID, request)
	})
	if asked > 1 && banger.CodeOf(err) == banger.CodeState {
		return banger.Errorf(banger.CodeUnavailable, "cannot determine whether session %q received the signal: the connection broke, and it has ended since", x.Name)
	}
	return err
}

// signalName returns SIGHUP for hup, HUP and SIGHUP, and a number as it is. Real-time
// signals are told by their number: an older shim does not know their names.
func signalName(text string) (string, error) {
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		return text, nil
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	switch signal := signalname.Parse(name); {
	case text == "" || signal == 0:
		return "", banger.Errorf(banger.CodeInvalid, "cannot signal session: %.40q is not a signal", text).
			WithHint("give a name such as HUP, USR1 or RTMIN+3, or a number; signal(7) has them")
	case strings.HasPrefix(name, "SIGRT"):
		return strconv.Itoa(int(signal)), nil
	}
	return name, nil
}

// stopSignal returns the one name of the signal that text means, and of "" itself.
func stopSignal(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	signal := signalname.Parse(name)
	if signal == 0 {
		return "", banger.Errorf(banger.CodeInvalid, "cannot start session: stop signal %.40q is not a signal", text).
			WithHint("give a name such as INT, QUIT or RTMIN+3, or a number; signal(7) has them")
	}
	return signalname.Of(signal), nil
}
