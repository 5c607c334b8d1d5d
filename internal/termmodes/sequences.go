package termmodes

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Setup returns the bytes that bring a terminal that was reset to this state, the
// screen that is shown among it: Scan of them gives the same state again. Neither
// the pen nor what has to be seen at once is in it: see Set.
func (m *Modes) Setup() []byte {
	b := m.SetOther()
	for _, mode := range []int{47, 1047, 1049} {
		if m.private[mode] {
			b = fmt.Appendf(b, "\x1b[?%dh", mode)
		}
	}
	b = append(b, m.Set()...)
	if m.margins.top != 0 || m.margins.bottom != 0 {
		b = fmt.Appendf(b, "\x1b[%d;%dr", m.margins.top, m.margins.bottom)
	}
	if m.margins.left != 0 || m.margins.right != 0 {
		b = fmt.Appendf(b, "\x1b[%d;%ds", m.margins.left, m.margins.right)
	}
	return b
}

// SetOther returns the bytes that set what belongs to the screen that is not shown, in
// a terminal that shows the main one.
func (m *Modes) SetOther() []byte {
	if m.AltScreen() {
		return m.keys[0].appendSet(nil)
	}
	return onOtherScreen(m.keys[1].appendSet(nil))
}

// onOtherScreen returns what carries b out on the screen that is not shown, which is
// the alternate one, without a change of either's cells.
func onOtherScreen(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return slices.Concat([]byte("\x1b[?47h"), b, []byte("\x1b[?47l"))
}

// Set returns the bytes that bring a terminal from a reset to these modes. Not among
// them are the screen that is shown, the margins and the pen, which belong to the
// picture; the lock of the keyboard and the printer, since nobody could leave;
// synchronized output, whose end may have been written long ago.
func (m *Modes) Set() []byte {
	var b []byte
	for _, mode := range sorted(m.saved) {
		b = appendPrivate(b, mode, m.saved[mode])
		b = fmt.Appendf(b, "\x1b[?%ds", mode)
		if _, differs := m.private[mode]; !differs {
			b = appendPrivate(b, mode, initially(mode))
		}
	}
	for _, mode := range sorted(m.private) {
		if !isScreen(mode) && mode != modeVT52 {
			b = appendPrivate(b, mode, m.private[mode])
		}
	}
	for _, mode := range sorted(m.ansi) {
		if mode != ansiKeyboard {
			b = appendANSI(b, mode, m.ansi[mode])
		}
	}
	if m.keypad {
		b = append(b, "\x1b="...)
	}
	b = appendResources(b, m.keyModes, 'm')
	b = appendResources(b, m.formats, 'f')
	b = m.keys[m.screen()].appendSet(b)
	for _, s := range sorted(m.settings) {
		if s != printer && s != printLines {
			b = s.appendTo(b, m.settings[s])
		}
	}
	b = m.appendSetColours(b)
	b = m.titles.appendSet(b)
	b = m.pointer.appendSet(b)
	return m.charsets.appendSet(b)
}

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
	b = m.resetSettings(b)
	b = m.charsets.appendReset(b)
	c := m
	if m.AltScreen() {
		b = m.keys[1].appendReset(b)
		b, c = m.leaveAlt(b)
	} else {
		b = append(b, onOtherScreen(m.keys[1].appendReset(nil))...)
	}
	b = m.keys[0].appendReset(b)
	b = appendResetResources(b, m.keyModes, 'm')
	b = appendResetResources(b, m.formats, 'f')
	b = c.resetPicture(b)
	b = c.resetModes(b)
	b = m.appendResetColours(b)
	b = m.titles.appendReset(b)
	b = m.pointer.appendReset(b)
	if m.touched.progress {
		b = append(b, "\x1b]9;4;0\x1b\\"...)
	}
	return b
}

// leaveAlt appends what shows the main screen, as the alternate one was entered, and
// returns the modes that the terminal then has: those that DECSC has kept.
func (m *Modes) leaveAlt(b []byte) ([]byte, *Modes) {
	c := *m
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
	b = c.resetSettings(b)
	return b, &c
}

// resetSettings takes back settings; some of them send output elsewhere.
func (m *Modes) resetSettings(b []byte) []byte {
	for _, s := range sorted(m.settings) {
		initial, _ := settingInitially(s)
		b = s.appendTo(b, initial)
	}
	return b
}

// resetPicture takes back what decides where and how characters are shown. To change
// the margins moves the cursor, so that is kept; from the origin mode it goes to the
// last row.
func (m *Modes) resetPicture(b []byte) []byte {
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

// resetModes takes back what can be set and reset.
func (m *Modes) resetModes(b []byte) []byte {
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

func appendPrivate(b []byte, mode int, on bool) []byte {
	return fmt.Appendf(b, "\x1b[?%d%c", mode, highOrLow(on))
}

func appendANSI(b []byte, mode int, on bool) []byte {
	return fmt.Appendf(b, "\x1b[%d%c", mode, highOrLow(on))
}

func highOrLow(on bool) byte {
	if on {
		return 'h'
	}
	return 'l'
}

// appendTo appends the sequence that gives a setting a value.
func (s setting) appendTo(b []byte, value int) []byte {
	mark := 0
	if s[0] >= '<' && s[0] <= '?' {
		mark = 1
	}
	return fmt.Appendf(b, "\x1b[%s%d%s", s[:mark], value, s[mark:])
}

func appendResources(b []byte, values map[int]int, final byte) []byte {
	for _, resource := range sorted(values) {
		if value := values[resource]; value == keyDisabled {
			b = fmt.Appendf(b, "\x1b[>%dn", resource)
		} else {
			b = fmt.Appendf(b, "\x1b[>%d;%d%c", resource, value, final)
		}
	}
	return b
}

func appendResetResources(b []byte, values map[int]int, final byte) []byte {
	for _, resource := range sorted(values) {
		b = fmt.Appendf(b, "\x1b[>%d%c", resource, final)
	}
	return b
}

func sorted[K cmp.Ordered, V any](values map[K]V) []K { return slices.Sorted(maps.Keys(values)) }
