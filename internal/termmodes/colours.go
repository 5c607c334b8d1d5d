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

// palette are the colours of a terminal that were changed.
type palette struct {
	colours map[colour]string
	named   map[string]string // kitty's colours (OSC 21)
}

// setIndexed carries out OSC 4 and 5: pairs of an index and a colour. What is too long or
// otherwise cannot be a colour is only remembered as to be taken back.
func (p *palette) setIndexed(osc int, text string) {
	limit := maxPalette
	if osc == 5 {
		limit = maxSpecial
	}
	for index, rest, ok := strings.Cut(text, ";"); ok; index, rest, ok = strings.Cut(rest, ";") {
		var value string
		value, rest, _ = strings.Cut(rest, ";")
		if i, err := strconv.Atoi(index); err == nil && i >= 0 && i < limit {
			p.set(colour{osc, i}, value)
		}
	}
}

// setDynamic carries out OSC 10 to 19: colours, the first of which is that of the number.
func (p *palette) setDynamic(osc int, text string) {
	for value := range strings.SplitSeq(text, ";") {
		if osc > 19 {
			return
		}
		p.set(colour{osc, 0}, value)
		osc++
	}
}

func (p *palette) set(c colour, value string) {
	if value == "?" || value == "" {
		return
	}
	if len(value) > maxColourBytes || !isASCIIText(value) {
		value = ""
	}
	if p.colours == nil {
		p.colours = map[colour]string{}
	}
	p.colours[c] = value
}

// reset carries out OSC 104 and 105, of some or of all.
func (p *palette) reset(osc int, text string) {
	for index := range strings.SplitSeq(text, ";") {
		i, err := strconv.Atoi(index)
		for c := range p.colours {
			if c.osc == osc && (text == "" || err == nil && c.index == i) {
				delete(p.colours, c)
			}
		}
	}
}

// setNamed carries out OSC 21, kitty's way: key=value, and key alone to reset it.
func (p *palette) setNamed(text string) {
	for pair := range strings.SplitSeq(text, ";") {
		key, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok:
			delete(p.named, key)
		case value == "?" || key == "" || len(pair) > maxColourBytes || !isASCIIText(pair) || len(p.named) >= maxNamed:
		default:
			if p.named == nil {
				p.named = map[string]string{}
			}
			p.named[key] = value
		}
	}
}

// sorted returns those that were changed, in order.
func (p *palette) sorted() []colour {
	var all []colour
	for c := range p.colours {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b colour) int { return (a.osc-b.osc)*maxPalette + a.index - b.index })
	return all
}

func (p *palette) appendSet(b []byte) []byte {
	for _, c := range p.sorted() {
		switch value := p.colours[c]; {
		case value == "":
		case c.osc < 10:
			b = fmt.Appendf(b, "\x1b]%d;%d;%s\x1b\\", c.osc, c.index, value)
		default:
			b = fmt.Appendf(b, "\x1b]%d;%s\x1b\\", c.osc, value)
		}
	}
	for _, name := range sorted(p.named) {
		if value := p.named[name]; value != "" {
			b = fmt.Appendf(b, "\x1b]21;%s=%s\x1b\\", name, value)
		}
	}
	return b
}

func (p *palette) appendReset(b []byte) []byte {
	for _, c := range p.sorted() {
		if c.osc < 10 {
			b = fmt.Appendf(b, "\x1b]%d;%d\x1b\\", c.osc+100, c.index)
		} else {
			b = fmt.Appendf(b, "\x1b]%d\x1b\\", c.osc+100)
		}
	}
	for _, name := range sorted(p.named) {
		b = fmt.Appendf(b, "\x1b]21;%s\x1b\\", name)
	}
	return b
}

// forget is what RIS does. Not every terminal then forgets its colours, so they are to be
// taken back still, but not to be set.
func (p *palette) forget() {
	for c := range p.colours {
		p.colours[c] = ""
	}
	for name := range p.named {
		p.named[name] = ""
	}
}
