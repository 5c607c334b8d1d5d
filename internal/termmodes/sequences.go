package termmodes

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
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
	b = m.palette.appendSet(b)
	b = m.titles.appendSet(b)
	b = m.pointer.appendSet(b)
	return m.charsets.appendSet(b)
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
