package termmodes

import (
	"fmt"
	"maps"
	"strings"
)

// Reset returns the bytes that bring a terminal from this state to a reset, the main
// screen and the pen included, with the cursor where it is on that. What was not
// changed is not touched: of a terminal in its first state it returns nothing.
func (m *Modes) Reset() []byte {
	var b []byte
	if !m.isOn(modeVT52) {
		b = append(b, "\x1b<"...)
	}
	if m.frozen {
		b = append(b, "\x1b[?2026l"...)
	}
	b = undo{m}.settings(b)
	b = m.charsets.appendReset(b)
	c := m
	if m.AltScreen() {
		b = m.keys[1].appendReset(b)
		b, c = undo{m}.leaveAlt(b)
	} else {
		b = append(b, onOtherScreen(m.keys[1].appendReset(nil))...)
	}
	b = m.keys[0].appendReset(b)
	b = appendResetResources(b, m.keyModes, 'm')
	b = appendResetResources(b, m.formats, 'f')
	b = undo{c}.picture(b)
	b = undo{c}.modes(b)
	b = m.palette.appendReset(b)
	b = m.titles.appendReset(b)
	b = m.pointer.appendReset(b)
	if m.touched.progress {
		b = append(b, "\x1b]9;4;0\x1b\\"...)
	}
	return b
}

// undo appends what takes back modes.
type undo struct{ *Modes }

// leaveAlt appends what shows the main screen, as the alternate one was entered, and
// returns the modes that the terminal then has: those that DECSC has kept.
func (m undo) leaveAlt(b []byte) ([]byte, *Modes) {
	c := *m.Modes
	c.private, c.settings, c.charsets = maps.Clone(m.private), nil, charsets{} // as the terminal is by now
	if m.private[modeOrigin] {
		b = append(b, "\x1b[?6l"...)
		c.set(modeOrigin, false)
	}
	for _, mode := range []int{1049, 1047, 47} {
		if m.private[mode] {
			c.set(mode, false)
			b = fmt.Appendf(b, "\x1b[?%dl", mode)
			break
		}
	}
	b = c.charsets.appendReset(b)
	b = undo{&c}.settings(b)
	return b, &c
}

// settings takes back settings; some of them send output elsewhere.
func (m undo) settings(b []byte) []byte {
	for _, s := range sorted(m.Modes.settings) {
		initial, _ := settingInitially(s)
		b = s.appendTo(b, initial)
	}
	return b
}

// picture takes back what decides where and how characters are shown. To change
// the margins moves the cursor, so that is kept; from the origin mode it goes to the
// last row.
func (m undo) picture(b []byte) []byte {
	if m.private[modeOrigin] {
		b = append(b, "\x1b[?6l\x1b[9999;1H"...)
	}
	if m.touched.link {
		b = append(b, "\x1b]8;;\x1b\\"...)
	}
	if m.touched.pen {
		b = append(b, "\x1b[0m"...)
	}
	margins := m.margins != (margins{}) || m.touched.tabs || m.private[modeSideMargin]
	if k := m.kept[0]; !margins && k == (kept{}) {
		return b
	}
	b = append(b, "\x1b7"...) // also for the next ESC 8, which brings back what was kept
	if !margins {
		return b
	}
	if m.private[modeSideMargin] {
		b = append(b, "\x1b[s\x1b[?69l"...)
	}
	b = append(b, "\x1b[r"...)
	if m.touched.tabs {
		b = append(b, "\r\x1b[3g"+strings.Repeat("\x1b[8C\x1bH", maxTabs)+"\x1b[?5W"...)
	}
	return append(b, "\x1b8"...)
}

// maxTabs is how many stops a terminal gets that has lost its own, each 8 columns.
const maxTabs = 64

// modes takes back what can be set and reset.
func (m undo) modes(b []byte) []byte {
	for _, mode := range sorted(m.private) {
		if !isScreen(mode) && mode != modeVT52 && mode != modeOrigin && mode != modeSideMargin {
			b = appendPrivate(b, mode, initially(mode))
		}
	}
	for _, mode := range sorted(m.strange) {
		b = appendPrivate(b, mode, false)
	}
	for _, mode := range sorted(m.saved) {
		b = fmt.Appendf(b, "\x1b[?%ds", mode)
	}
	for _, mode := range sorted(m.ansi) {
		b = appendANSI(b, mode, ansiInitially(mode))
	}
	if m.keypad {
		b = append(b, "\x1b>"...)
	}
	return b
}
