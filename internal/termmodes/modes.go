package termmodes

import "maps"

// Modes are the state of a terminal that a program changes with the bytes it writes.
// The zero value is a terminal that was reset. Memory is bounded, whatever is
// written. Not safe for concurrent use.
type Modes struct {
	parser parser

	private map[int]bool // DECSET: those that differ from a terminal that was reset
	saved   map[int]bool // XTSAVE: what XTRESTORE brings back
	strange map[int]bool // private modes that are not known, and are on
	ansi    map[int]bool // SM: those that differ from a terminal that was reset
	frozen  bool         // synchronized output (2026): the screen waits for its end
	keypad  bool         // DECKPAM

	keys     [2]keyStack // of the main and of the alternate screen
	keyModes map[int]int // XTMODKEYS, modifyOtherKeys among them
	formats  map[int]int // XTFMTKEYS

	charsets charsets
	kept     [2]kept // DECSC, of each screen
	settings map[setting]int
	palette  palette
	titles   titles
	pointer  pointer
	margins  margins
	touched  touched
}

// margins are those of DECSTBM and DECSLRM; 0 is where the screen ends.
type margins struct{ top, bottom, left, right int }

// touched says what is not followed in detail: that there is something to take back.
type touched struct{ pen, link, tabs, progress bool }

// kept is what DECSC keeps beside the cursor and the pen.
type kept struct {
	charsets  charsets
	origin    bool
	protected int
}

// Of returns modes in which private and keypad are as the methods return them.
func Of(private map[int]bool, keypad bool) *Modes {
	m := &Modes{keypad: keypad}
	for mode, on := range private {
		m.set(mode, on)
	}
	return m
}

// Private returns the private modes (DECSET and DECRST) that differ from a
// terminal that was reset.
func (m *Modes) Private() map[int]bool { return maps.Clone(m.private) }

// Keypad reports whether the keypad sends application sequences (DECKPAM).
func (m *Modes) Keypad() bool { return m.keypad }

// AltScreen reports whether the alternate screen is shown.
func (m *Modes) AltScreen() bool { return m.private[1049] || m.private[1047] || m.private[47] }

// Scan takes in what is written next; sequences may be cut anywhere.
func (m *Modes) Scan(p []byte) { m.parser.scan(p, interpreter{m}) }

// Pending returns how many of the last bytes are the beginning of a sequence that is
// not complete.
func (m *Modes) Pending() int64 { return m.parser.length }

// The private modes of which more is to be said than on and off.
const (
	modeVT52       = 2 // DECANM: off, it is another terminal
	modeColumns    = 3 // DECCOLM: changes the window, and clears it
	modeOrigin     = 6
	modeTektronix  = 38
	modeLogging    = 46
	modeSideMargin = 69 // DECLRMM
	modeSaveCursor = 1048
	modeSync       = 2026
)

// known reports whether a private mode is one that who attaches must set.
func known(mode int) bool {
	switch mode {
	case 1, 2, 5, 6, 7, 8, 9, 12, 25, 41, 44, 45, 47, 66, 67, 69, 80, 95,
		1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1010, 1011, 1015, 1016,
		1034, 1035, 1036, 1037, 1038, 1039, 1040, 1041, 1042, 1043, 1044, 1045, 1046, 1047, 1049,
		1050, 1051, 1052, 1053, 1060, 1061, 1070, 2004, 2005, 2006, 2027, 2031, 2048, 7727, 8452, 9001:
		return true
	}
	return false
}

// initially is the state of a private mode after a reset.
func initially(mode int) bool {
	switch mode {
	case 2, 7, 8, 25, 1034, 1035, 1046, 1070:
		return true
	}
	return false
}

// isScreen reports whether a private mode chooses the screen.
func isScreen(mode int) bool { return mode == 47 || mode == 1047 || mode == 1049 }

// maxStrange bounds the private modes that are remembered without being known.
const maxStrange = 32

// set carries out DECSET or DECRST of one mode.
func (m *Modes) set(mode int, on bool) {
	switch {
	case mode <= 0:
	case isScreen(mode):
		m.showScreen(mode, on)
	case mode == modeSync:
		m.frozen = on
	case mode == modeSaveCursor && on:
		m.keep()
	case mode == modeSaveCursor:
		m.bringBack()
	case mode == modeColumns || mode == modeTektronix || mode == modeLogging:
		// What they do is done at once, and is not to be done again.
	case known(mode):
		m.private = change(m.private, mode, on, initially(mode))
		if mode == modeSideMargin && !on {
			m.margins.left, m.margins.right = 0, 0
		}
	case !on:
		delete(m.strange, mode)
	case len(m.strange) < maxStrange:
		m.strange = change(m.strange, mode, true, false)
	}
}

// change sets a value in a map that holds those which are not initial.
func change[K, V comparable](values map[K]V, key K, value, initial V) map[K]V {
	if value == initial {
		delete(values, key)
		return values
	}
	if values == nil {
		values = map[K]V{}
	}
	values[key] = value
	return values
}

// showScreen shows the alternate screen, or the main one. With 1049 the cursor of the
// main one is kept meanwhile.
func (m *Modes) showScreen(mode int, alt bool) {
	if was := m.AltScreen(); alt {
		if mode == 1049 && !was {
			m.keep()
		}
		m.private = change(m.private, mode, true, false)
		return
	}
	for _, screen := range []int{47, 1047, 1049} {
		delete(m.private, screen)
	}
	if mode == 1049 {
		m.bringBack()
	}
}

// screen is the index of the screen that is shown.
func (m *Modes) screen() int {
	if m.AltScreen() {
		return 1
	}
	return 0
}

// keep carries out DECSC.
func (m *Modes) keep() {
	m.kept[m.screen()] = kept{charsets: m.charsets, origin: m.private[modeOrigin], protected: m.settings[protection]}
}

// bringBack carries out DECRC.
func (m *Modes) bringBack() {
	k := m.kept[m.screen()]
	k.charsets.noUTF8, k.charsets.eightBit = m.charsets.noUTF8, m.charsets.eightBit
	m.charsets = k.charsets
	m.set(modeOrigin, k.origin)
	m.settings = change(m.settings, protection, k.protected, 0)
}

// isOn reports whether a private mode is on.
func (m *Modes) isOn(mode int) bool {
	if on, differs := m.private[mode]; differs {
		return on
	}
	return initially(mode)
}

// reset carries out RIS; titles are kept as colours are.
func (m *Modes) reset() {
	again := Modes{parser: m.parser, titles: m.titles, pointer: m.pointer, palette: m.palette}
	again.palette.forget()
	*m = again
}
