package localsocket

import "net"

// ForUser makes a listener of Listen accept another user instead of this one.
func ForUser(l net.Listener, uid uint32) net.Listener {
	return &listener{UnixListener: l.(*listener).UnixListener, uid: uid}
}
