package termmodes

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// names are the title of a window and that of its icon, empty for what they are
// before a program has chosen them; and which of them an entry of the stack has.
type names struct {
	window, icon       string
	hasWindow, hasIcon bool
}

// titles are those that are shown, and their stack (CSI 22 t, 23 t).
type titles struct {
	names
	stack []names
}

const (
	maxTitleBytes = 256
	// maxTitles bounds the stack; it is xterm's.
	maxTitles = 10
)

// PushTitles has a terminal keep its titles until Reset brings them back. It is to
// be written before the first title is; to others it means nothing.
const PushTitles = "\x1b[22;0t"

// TitlesKept reports whether the terminal keeps the titles that it had at first.
func (m *Modes) TitlesKept() bool { return len(m.titles.stack) > 0 }

// set carries out OSC 0 (both), 1 (icon) and 2 (window). Of the text nothing is kept that
// a terminal carries out: it is written again.
func (t *titles) set(osc int, text string) {
	text = untilC1(text)
	if len(text) > maxTitleBytes {
		text = text[:maxTitleBytes]
		for !utf8.ValidString(text) && len(text) > maxTitleBytes-utf8.UTFMax {
			text = text[:len(text)-1]
		}
	}
	if osc != 1 {
		t.window = text
	}
	if osc != 2 {
		t.icon = text
	}
}

// push carries out CSI 22 ; which t: of both (0), the icon (1) or the window (2).
func (t *titles) push(which int) {
	if len(t.stack) == maxTitles || which > 2 {
		return
	}
	entry := names{hasWindow: which != 1, hasIcon: which != 2}
	if entry.hasWindow {
		entry.window = t.window
	}
	if entry.hasIcon {
		entry.icon = t.icon
	}
	t.stack = append(t.stack, entry)
}

// pop carries out CSI 23 ; which t. Some terminals have a stack for each of the two;
// for one that has entries with both, this is the same.
func (t *titles) pop(which int) {
	if which > 2 {
		return
	}
	window, icon := which != 1, which != 2
	for i := len(t.stack) - 1; i >= 0 && (window || icon); i-- {
		entry := &t.stack[i]
		if window && entry.hasWindow {
			t.window, window, entry.hasWindow, entry.window = entry.window, false, false, ""
		}
		if icon && entry.hasIcon {
			t.icon, icon, entry.hasIcon, entry.icon = entry.icon, false, false, ""
		}
		if !entry.hasWindow && !entry.hasIcon {
			t.stack = append(t.stack[:i], t.stack[i+1:]...)
		}
	}
}

// bottom returns the titles that a terminal has when its stack is empty.
func (t *titles) bottom() names {
	bottom := t.names
	for i := len(t.stack) - 1; i >= 0; i-- {
		if entry := t.stack[i]; entry.hasWindow {
			bottom.window = entry.window
		}
		if entry := t.stack[i]; entry.hasIcon {
			bottom.icon = entry.icon
		}
	}
	return bottom
}

func (t *titles) appendSet(b []byte) []byte {
	var at names // as a terminal has them that has got b
	for _, entry := range t.stack {
		which := 0
		switch {
		case !entry.hasWindow:
			which, entry.window = 1, at.window
		case !entry.hasIcon:
			which, entry.icon = 2, at.icon
		}
		b = at.appendChange(b, entry)
		b = fmt.Appendf(b, "\x1b[22;%dt", which)
	}
	return at.appendChange(b, t.names)
}

// appendChange appends what changes the titles.
func (n *names) appendChange(b []byte, to names) []byte {
	switch {
	case to.window == to.icon && n.window != to.window && n.icon != to.icon:
		b = fmt.Appendf(b, "\x1b]0;%s\x1b\\", to.window)
	case n.window != to.window && n.icon != to.icon:
		b = fmt.Appendf(b, "\x1b]2;%s\x1b\\\x1b]1;%s\x1b\\", to.window, to.icon)
	case n.window != to.window:
		b = fmt.Appendf(b, "\x1b]2;%s\x1b\\", to.window)
	case n.icon != to.icon:
		b = fmt.Appendf(b, "\x1b]1;%s\x1b\\", to.icon)
	}
	n.window, n.icon = to.window, to.icon
	return b
}

// appendReset takes the titles back. Where there is no stack they are made empty, which
// says nothing wrong: what they were cannot be asked for.
func (t *titles) appendReset(b []byte) []byte {
	bottom, now := t.bottom(), names{window: t.window, icon: t.icon}
	if bottom.window == "" || bottom.icon == "" {
		none := names{}
		if bottom.window != "" {
			none.window = now.window
		}
		if bottom.icon != "" {
			none.icon = now.icon
		}
		b = now.appendChange(b, none)
	}
	b = append(b, strings.Repeat("\x1b[23;0t", len(t.stack))...)
	return bottom.appendChange(b, names{})
}

// BeforeTitle returns how many bytes of p, which is written next, come before what may be
// the first title that the terminal gets, and len(p) if none does or if it keeps its own
// already.
func (m *Modes) BeforeTitle(p []byte) int {
	if m.TitlesKept() {
		return len(p)
	}
	for i := 0; ; i++ {
		if i = indexFrom(p, i, escape); i == len(p) {
			return i
		}
		if mayBeTitle(p[i:]) && m.parser.endsInText(p[:i]) {
			return i
		}
	}
}

// mayBeTitle reports whether OSC 0, 1 or 2 begins here, as far as can be seen.
func mayBeTitle(p []byte) bool {
	for _, title := range []string{"\x1b]0;", "\x1b]1;", "\x1b]2;"} {
		if n := min(len(p), len(title)); string(p[:n]) == title[:n] {
			return true
		}
	}
	return false
}
