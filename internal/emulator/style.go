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
	link                         uint32 // index into Terminal.links, 0 for none
}

// Link is a hyperlink, OSC 8. Params are its "key=value" parameters, as they were.
type Link struct{ Params, URI string }

// maxLink bounds the bytes of a hyperlink; a longer one is none.
const maxLink = 4096

// LinkOf returns the hyperlink of a style, with an empty URI for none.
func (t *Terminal) LinkOf(s Style) Link { return t.links[s.link] }

// sgr carries SGR out, CSI ... m. A parameter p of which more is true has
// subparameters behind it, separated by colons.
func (t *Terminal) sgr() {
	p := &t.parser
	if p.count == 0 {
		t.pen = Style{link: t.pen.link, Attributes: t.pen.Attributes & protected}
	}
	for i := 0; i < p.count; {
		end := i + 1
		for end < p.count && p.sub[end] {
			end++
		}
		i = end + t.pen.apply(p.params[i:end], p.params[end:p.count])
	}
	t.penChanged()
}

// apply carries one parameter with its subparameters out; rest are those that follow,
// of which the old forms of colours take some: it returns how many.
func (s *Style) apply(param, rest []int) (taken int) {
	n := max(param[0], 0)
	switch {
	case n == 38 || n == 48 || n == 58:
		color, taken, ok := colorOf(param[1:], rest)
		switch {
		case !ok:
		case n == 38:
			s.Foreground = color
		case n == 48:
			s.Background = color
		default:
			s.Line = color
		}
		return taken
	case n == 4 && len(param) > 1:
		if kind := param[1]; kind >= 0 && kind <= int(DashedUnderline) {
			s.Underline = Underline(kind)
		}
	case len(param) > 1: // no other one has subparameters
	default:
		s.set(n)
	}
	return 0
}

// set carries a parameter out that stands for itself.
func (s *Style) set(n int) {
	switch {
	case n == 0:
		*s = Style{link: s.link, Attributes: s.Attributes & protected}
	case n >= 30 && n <= 37:
		s.Foreground = indexed | Color(n-30)
	case n == 39:
		s.Foreground = Default
	case n >= 40 && n <= 47:
		s.Background = indexed | Color(n-40)
	case n == 49:
		s.Background = Default
	case n >= 90 && n <= 97:
		s.Foreground = indexed | Color(n-90+8)
	case n >= 100 && n <= 107:
		s.Background = indexed | Color(n-100+8)
	case n == 59:
		s.Line = Default
	case n == 4:
		s.Underline = SingleUnderline
	case n == 21:
		s.Underline = DoubleUnderline
	case n == 24:
		s.Underline = NoUnderline
	default:
		s.switchAttribute(n)
	}
}

func (s *Style) switchAttribute(n int) {
	switch n {
	case 1:
		s.Attributes |= Bold
	case 2:
		s.Attributes |= Faint
	case 3:
		s.Attributes |= Italic
	case 5, 6:
		s.Attributes |= Blink
	case 7:
		s.Attributes |= Inverse
	case 8:
		s.Attributes |= Hidden
	case 9:
		s.Attributes |= Struck
	case 53:
		s.Attributes |= Overlined
	case 22:
		s.Attributes &^= Bold | Faint
	case 23:
		s.Attributes &^= Italic
	case 25:
		s.Attributes &^= Blink
	case 27:
		s.Attributes &^= Inverse
	case 28:
		s.Attributes &^= Hidden
	case 29:
		s.Attributes &^= Struck
	case 55:
		s.Attributes &^= Overlined
	}
}

// colorOf reads what follows 38, 48 or 58: subparameters ("38:5:n", "38:2:r:g:b",
// "38:2:space:r:g:b", ITU T.416), or without any the old forms with semicolons, of
// which it returns how many parameters they take.
func colorOf(sub, rest []int) (c Color, taken int, ok bool) {
	if len(sub) > 0 {
		switch {
		case sub[0] == 5 && len(sub) > 1:
			c, ok = palette(sub[1])
		case sub[0] == 2 && len(sub) >= 5:
			c, ok = rgb(sub[2:5])
		case sub[0] == 2 && len(sub) == 4:
			c, ok = rgb(sub[1:4])
		}
		return c, 0, ok
	}
	switch {
	case len(rest) >= 2 && rest[0] == 5:
		c, ok = palette(rest[1])
		return c, 2, ok
	case len(rest) >= 4 && rest[0] == 2:
		c, ok = rgb(rest[1:4])
		return c, 4, ok
	case len(rest) > 0 && (rest[0] == 5 || rest[0] == 2):
		return 0, len(rest), false
	case len(rest) > 0:
		return 0, 1, false
	}
	return 0, 0, false
}

func palette(n int) (Color, bool) {
	n = max(n, 0)
	return indexed | Color(n), n < 256
}

func rgb(p []int) (Color, bool) {
	c := direct
	for i, shift := range []int{16, 8, 0} {
		n := max(p[i], 0)
		if n > 255 {
			return 0, false
		}
		c |= Color(n << shift)
	}
	return c, true
}
