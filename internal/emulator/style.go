package emulator

// Color is a colour of a glyph: Default, one of 256, or red, green and blue.
type Color uint32

// Default is the colour that the terminal has where a program sets none.
const Default Color = 0

const (
	indexed Color = 1 << 24
	direct  Color = 2 << 24
)

// Index returns the number in the palette of 256, false if the colour is none of it.
func (c Color) Index() (int, bool) { return int(c & 0xff), c&indexed != 0 }

// RGB returns red, green and blue, false if the colour is not given by them.
func (c Color) RGB() (r, g, b int, ok bool) {
	return int(c >> 16 & 0xff), int(c >> 8 & 0xff), int(c & 0xff), c&direct != 0
}

// Attributes are the SGR attributes that are on or off.
type Attributes uint16

// The attributes, by the SGR parameter that sets them.
const (
	Bold      Attributes = 1 << iota // 1
	Faint                            // 2
	Italic                           // 3
	Blink                            // 5
	Inverse                          // 7
	Hidden                           // 8
	Struck                           // 9
	Overlined                        // 53
	protected                        // DECSCA: DECSED and DECSEL leave it
)

// Underline is the kind of a line below a glyph: the parameter N of SGR 4:N.
type Underline uint8

// The kinds of underlines.
const (
	NoUnderline Underline = iota
	SingleUnderline
	DoubleUnderline
	CurlyUnderline
	DottedUnderline
	DashedUnderline
)

// Style is how a cell looks. It is comparable within its Terminal.
type Style struct {
	Foreground, Background, Line Color // Line is the underline's
	Attributes                   Attributes
	Underline                    Underline
	link                         uint32 // index into dictionary.links, 0 for none
}

// look is a style as a terminal keeps it: what programs use most in 30 bits, which are
// also what a cell says of it where there is nothing else.
type look struct {
	common uint32 // two colours of the palette, attributes and underline
	rest   rest
}

type rest struct {
	foreground, background Color // those that are not of the palette
	line                   Color
	link                   uint32
}

// Where the parts of look.common begin. A colour is its number, with a bit above it.
const (
	foregroundAt = 9 * iota
	backgroundAt
	attributesAt
	underlineAt

	partBits   uint32 = 1<<9 - 1
	foreground        = partBits << foregroundAt
	background        = partBits << backgroundAt
	underline  uint32 = 7 << underlineAt
	hasRest    uint32 = 1 << 30 // rest is not empty
)

// style is the look for those that do not keep it.
func (l look) style() Style {
	color := func(at int, other Color) Color {
		n := l.common >> at & partBits
		return other | Color(n&0x100<<16|n&0xff)
	}
	return Style{
		Foreground: color(foregroundAt, l.rest.foreground), Background: color(backgroundAt, l.rest.background), Line: l.rest.line,
		Attributes: l.attributes(), Underline: Underline(l.common & underline >> underlineAt), link: l.rest.link,
	}
}

// settle sets hasRest as it has to be, after rest was changed.
func (l *look) settle() {
	l.common &^= hasRest
	if l.rest != (rest{}) {
		l.common |= hasRest
	}
}

// onlyBackground is the look of what was erased.
func (l look) onlyBackground() look {
	b := look{common: l.common & background, rest: rest{background: l.rest.background}}
	b.settle()
	return b
}

func (l *look) setForeground(c Color) { l.setColor(foregroundAt, &l.rest.foreground, c) }
func (l *look) setBackground(c Color) { l.setColor(backgroundAt, &l.rest.background, c) }

func (l *look) setColor(at int, other *Color, c Color) {
	l.common &^= partBits << at
	*other = c
	if c&direct == 0 {
		l.common |= uint32(c>>16|c&0xff) << at
		*other = 0
	}
	l.settle()
}

func (l look) attributes() Attributes  { return Attributes(l.common >> attributesAt & partBits) }
func (l *look) switchOn(a Attributes)  { l.common |= uint32(a) << attributesAt }
func (l *look) switchOff(a Attributes) { l.common &^= uint32(a) << attributesAt }

func (l *look) setLink(link uint32) {
	l.rest.link = link
	l.settle()
}

// reset is SGR 0. Hyperlinks and what DECSCA sets are not among its attributes.
func (l *look) reset() {
	l.common &= uint32(protected)<<attributesAt | hasRest
	if l.common&hasRest != 0 {
		l.rest = rest{link: l.rest.link}
		l.settle()
	}
}
