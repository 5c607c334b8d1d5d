package termmodes

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// colour is one that OSC sets: of the palette (4, with its index), a special one (5,
// the same), or one of the dynamic ones (10 to 19: text, background, cursor and so on).
type colour struct{ osc, index int }

const (
	maxPalette     = 256
	maxSpecial     = 8
	maxColourBytes = 32
	maxNamed       = 32
)

// setColours carries out OSC 4 and 5: pairs of an index and a colour. What is too long or
// otherwise cannot be a colour is only remembered as to be taken back.
func (m *Modes) setColours(osc int, text string) {
	limit := maxPalette
	if osc == 5 {
		limit = maxSpecial
	}
	for index, rest, ok := strings.Cut(text, ";"); ok; index, rest, ok = strings.Cut(rest, ";") {
		var value string
		value, rest, _ = strings.Cut(rest, ";")
		if i, err := strconv.Atoi(index); err == nil && i >= 0 && i < limit {
			m.setColour(colour{osc, i}, value)
		}
	}
}

// setDynamic carries out OSC 10 to 19: colours, the first of which is that of the number.
func (m *Modes) setDynamic(osc int, text string) {
	for value := range strings.SplitSeq(text, ";") {
		if osc > 19 {
			return
		}
		m.setColour(colour{osc, 0}, value)
		osc++
	}
}

func (m *Modes) setColour(c colour, value string) {
	if value == "?" || value == "" {
		return
	}
	if len(value) > maxColourBytes || !isASCIIText(value) {
		value = ""
	}
	if m.colours == nil {
		m.colours = map[colour]string{}
	}
	m.colours[c] = value
}

// resetColours carries out OSC 104 and 105, of some or of all.
func (m *Modes) resetColours(osc int, text string) {
	for index := range strings.SplitSeq(text, ";") {
		i, err := strconv.Atoi(index)
		for c := range m.colours {
			if c.osc == osc && (text == "" || err == nil && c.index == i) {
				delete(m.colours, c)
			}
		}
	}
}

// setNamed carries out OSC 21, kitty's way: key=value, and key alone to reset it.
func (m *Modes) setNamed(text string) {
	for pair := range strings.SplitSeq(text, ";") {
		key, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok:
			delete(m.named, key)
		case value == "?" || key == "" || len(pair) > maxColourBytes || !isASCIIText(pair) || len(m.named) >= maxNamed:
		default:
			if m.named == nil {
				m.named = map[string]string{}
			}
			m.named[key] = value
		}
	}
}

// sortedColours returns those that were changed, in order.
func (m *Modes) sortedColours() []colour {
	var all []colour
	for c := range m.colours {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b colour) int { return (a.osc-b.osc)*maxPalette + a.index - b.index })
	return all
}

func (m *Modes) appendSetColours(b []byte) []byte {
	for _, c := range m.sortedColours() {
		switch value := m.colours[c]; {
		case value == "":
		case c.osc < 10:
			b = fmt.Appendf(b, "\x1b]%d;%d;%s\x1b\\", c.osc, c.index, value)
		default:
			b = fmt.Appendf(b, "\x1b]%d;%s\x1b\\", c.osc, value)
		}
	}
	for _, name := range sorted(m.named) {
		if value := m.named[name]; value != "" {
			b = fmt.Appendf(b, "\x1b]21;%s=%s\x1b\\", name, value)
		}
	}
	return b
}

func (m *Modes) appendResetColours(b []byte) []byte {
	for _, c := range m.sortedColours() {
		if c.osc < 10 {
			b = fmt.Appendf(b, "\x1b]%d;%d\x1b\\", c.osc+100, c.index)
		} else {
			b = fmt.Appendf(b, "\x1b]%d\x1b\\", c.osc+100)
		}
	}
	for _, name := range sorted(m.named) {
		b = fmt.Appendf(b, "\x1b]21;%s\x1b\\", name)
	}
	return b
}
