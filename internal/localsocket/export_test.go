package localsocket

// DialUser is DialOwn of another user.
var DialUser = dialUser

// ForUser makes a listener of Listen accept another user instead of this one.
func ForUser(l *Listener, uid uint32) *Listener {
	l.uid = uid
	return l
}
