package emulator

// sgr carries SGR out, CSI ... m. Parameters before which a colon stands are
// subparameters of the one before.
func (l *look) sgr(s *sequence) {
	params := s.params[:s.count]
	if len(params) == 0 {
		l.reset()
	}
	i, common := 0, l.common
	for s.colons == 0 && common&hasRest == 0 && i < len(params) {
		n := max(params[i], 0)
		if n != 38 && n != 48 && n != 58 {
			if n < len(effects) {
				common = common&^effects[n].clears | effects[n].sets
			}
			i++
			continue
		}
		if n == 58 || len(params)-i < 3 || params[i+1] != 5 || uint(params[i+2]) > 255 {
			break
		}
		if n == 38 {
			common = common&^foreground | (color+uint32(params[i+2]))<<foregroundAt
		} else {
			common = common&^background | (color+uint32(params[i+2]))<<backgroundAt
		}
		i += 3
	}
	l.common = common
	for i < len(params) {
		end := i + 1
		for end < len(params) && s.colons>>end&1 != 0 {
			end++
		}
		i = end + l.apply(params[i:end], params[end:])
	}
}

// apply carries one parameter with its subparameters out; rest are those that follow,
// of which the old forms of colours take some: it returns how many.
func (l *look) apply(param, rest []int) (taken int) {
	n := max(param[0], 0)
	switch {
	case n == 38 || n == 48 || n == 58:
		return l.color(n, param[1:], rest)
	case n == 4 && len(param) > 1:
		if kind := param[1]; kind >= 0 && kind <= int(DashedUnderline) {
			l.common = l.common&^underline | uint32(kind)<<underlineAt
		}
	case len(param) > 1: // no other one has subparameters
	default:
		l.set(n)
	}
	return 0
}

// color sets the colour of the foreground (38), the background (48) or the underline
// (58), and returns how many parameters of rest that takes.
func (l *look) color(n int, sub, rest []int) (taken int) {
	color, taken, ok := colorOf(sub, rest)
	switch {
	case !ok:
	case n == 38:
		l.setForeground(color)
	case n == 48:
		l.setBackground(color)
	default:
		l.rest.line = color
		l.settle()
	}
	return taken
}

// set carries a parameter out that stands for itself.
func (l *look) set(n int) {
	if n >= len(effects) {
		return
	}
	e := effects[n]
	l.common = l.common&^e.clears | e.sets
	if l.common&hasRest == 0 {
		return
	}
	if e.clears&foreground != 0 {
		l.rest.foreground = Default
	}
	if e.clears&background != 0 {
		l.rest.background = Default
	}
	if n == 0 || n == 59 {
		l.rest.line = Default
	}
	l.settle()
}

// effect is what a parameter of SGR does to look.common.
type effect struct{ clears, sets uint32 }

// Parts of look.common.
const (
	color     = uint32(indexed >> 16) // 0 of the palette
	attribute = 1 << attributesAt
)

// effects are those of the parameters that stand for themselves. SGR 0 leaves what DECSCA
// sets, and hyperlinks.
var effects = [...]effect{
	0: {clears: hasRest - 1 - uint32(protected)*attribute},
	1: {sets: uint32(Bold) * attribute},
	2: {sets: uint32(Faint) * attribute},
	3: {sets: uint32(Italic) * attribute},
	4: {underline, uint32(SingleUnderline) << underlineAt},
	5: {sets: uint32(Blink) * attribute},
	6: {sets: uint32(Blink) * attribute},
	7: {sets: uint32(Inverse) * attribute},
	8: {sets: uint32(Hidden) * attribute},
	9: {sets: uint32(Struck) * attribute},

	21: {underline, uint32(DoubleUnderline) << underlineAt},
	22: {clears: uint32(Bold|Faint) * attribute},
	23: {clears: uint32(Italic) * attribute},
	24: {clears: underline},
	25: {clears: uint32(Blink) * attribute},
	27: {clears: uint32(Inverse) * attribute},
	28: {clears: uint32(Hidden) * attribute},
	29: {clears: uint32(Struck) * attribute},
	53: {sets: uint32(Overlined) * attribute},
	55: {clears: uint32(Overlined) * attribute},

	30: {foreground, color << foregroundAt}, {foreground, (color + 1) << foregroundAt},
	{foreground, (color + 2) << foregroundAt}, {foreground, (color + 3) << foregroundAt},
	{foreground, (color + 4) << foregroundAt}, {foreground, (color + 5) << foregroundAt},
	{foreground, (color + 6) << foregroundAt}, {foreground, (color + 7) << foregroundAt},
	39: {clears: foreground},
	40: {background, color << backgroundAt}, {background, (color + 1) << backgroundAt},
	{background, (color + 2) << backgroundAt}, {background, (color + 3) << backgroundAt},
	{background, (color + 4) << backgroundAt}, {background, (color + 5) << backgroundAt},
	{background, (color + 6) << backgroundAt}, {background, (color + 7) << backgroundAt},
	49: {clears: background},
	90: {foreground, (color + 8) << foregroundAt}, {foreground, (color + 9) << foregroundAt},
	{foreground, (color + 10) << foregroundAt}, {foreground, (color + 11) << foregroundAt},
	{foreground, (color + 12) << foregroundAt}, {foreground, (color + 13) << foregroundAt},
	{foreground, (color + 14) << foregroundAt}, {foreground, (color + 15) << foregroundAt},
	100: {background, (color + 8) << backgroundAt}, {background, (color + 9) << backgroundAt},
	{background, (color + 10) << backgroundAt}, {background, (color + 11) << backgroundAt},
	{background, (color + 12) << backgroundAt}, {background, (color + 13) << backgroundAt},
	{background, (color + 14) << backgroundAt}, {background, (color + 15) << backgroundAt},
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
