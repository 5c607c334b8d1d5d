package shim

import "golang.org/x/sys/unix"

// maxLine is how many bytes a terminal in line mode holds of a line, besides its end:
// what comes behind them is dropped; termios(3), "canonical mode".
const maxLine = 4095

// line follows what a terminal in line mode holds of a line that has no end yet, as the
// kernel does (drivers/tty/n_tty.c). It cannot see that a program throws input away, or
// changes the mode and changes it back between two writes: then it has too much, until
// the next end of a line. Not safe for concurrent use.
type line struct {
	held    []byte
	literal bool // the next byte has no meaning of its own (VLNEXT)
}

// fits returns how many bytes of p the terminal takes as it is set by mode, before one
// that it would drop.
func (l *line) fits(mode *unix.Termios, p []byte) int {
	if mode.Lflag&unix.ICANON == 0 || len(l.held)+len(p) <= maxLine {
		return len(p)
	}
	trial := line{append(make([]byte, 0, maxLine), l.held...), l.literal}
	for i, c := range p {
		if !trial.take(mode, c) {
			return i
		}
	}
	return len(p)
}

// follow notes that the terminal has taken p.
func (l *line) follow(mode *unix.Termios, p []byte) {
	if mode.Lflag&unix.ICANON == 0 {
		*l = line{}
		return
	}
	for _, c := range p {
		l.take(mode, c)
	}
}

// take notes one byte, and is false for one that is dropped.
func (l *line) take(mode *unix.Termios, c byte) bool {
	set := func(flags uint32, flag uint32) bool { return flags&flag != 0 }
	is := func(char int) bool { return c != 0 && c == mode.Cc[char] } // 0 means that there is none
	extended := set(mode.Lflag, unix.IEXTEN)
	if set(mode.Iflag, unix.ISTRIP) {
		c &= 0x7f
	}
	if set(mode.Iflag, unix.IUCLC) && extended && isUpper(c) {
		c += 'a' - 'A'
	}
	if l.literal {
		l.literal = false
		return l.hold(c)
	}
	switch {
	case set(mode.Iflag, unix.IXON) && (is(unix.VSTART) || is(unix.VSTOP)):
		return true
	case set(mode.Lflag, unix.ISIG) && (is(unix.VINTR) || is(unix.VQUIT) || is(unix.VSUSP)):
		if !set(mode.Lflag, unix.NOFLSH) {
			l.held = l.held[:0]
		}
		return true
	case c == '\r' && set(mode.Iflag, unix.IGNCR):
		return true
	case c == '\r' && set(mode.Iflag, unix.ICRNL):
		c = '\n'
	case c == '\n' && set(mode.Iflag, unix.INLCR):
		c = '\r'
	}
	switch {
	case is(unix.VKILL):
		l.held = l.held[:0]
	case is(unix.VERASE):
		l.erase(mode)
	case is(unix.VWERASE) && extended:
		l.eraseWord(mode)
	case is(unix.VLNEXT) && extended:
		l.literal = true
	case is(unix.VREPRINT) && extended && set(mode.Lflag, unix.ECHO):
	case c == '\n', is(unix.VEOF), is(unix.VEOL), is(unix.VEOL2) && extended:
		l.held = l.held[:0]
	default:
		return l.hold(c)
	}
	return true
}

func (l *line) hold(c byte) bool {
	if len(l.held) == maxLine {
		return false
	}
	l.held = append(l.held, c)
	return true
}

// erase takes the last character off, and returns its first byte.
func (l *line) erase(mode *unix.Termios) byte {
	n := len(l.held)
	if n == 0 {
		return 0
	}
	for n--; n > 0 && mode.Iflag&unix.IUTF8 != 0 && l.held[n]&0xc0 == 0x80; {
		n--
	}
	first := l.held[n]
	l.held = l.held[:n]
	return first
}

// eraseWord takes the last word off, and what follows it.
func (l *line) eraseWord(mode *unix.Termios) {
	word := false
	for len(l.held) > 0 {
		before := l.held
		if isWord(l.erase(mode)) {
			word = true
		} else if word {
			l.held = before
			return
		}
	}
}

// isUpper is for Latin-1, which the kernel takes all bytes for.
func isUpper(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 0xc0 && c <= 0xde && c != 0xd7
}

// isWord reports whether a character belongs to a word, in Latin-1.
func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' ||
		c >= 0xc0 && c != 0xd7 && c != 0xf7
}
