package emulator

// Cell is one column of one row. The zero value is a blank in the colours of a
// terminal that was reset. Its glyph and its style are looked up in its Terminal.
type Cell struct {
	glyph uint32 // 0 for a blank, else a rune or an index into Terminal.clusters, with flags
	style uint32 // a look.common, or an index into Terminal.looks with isInterned
}

// Flags of a glyph, above the 21 bits of a rune.
const (
	isCluster uint32 = 1 << 31 // the rest is an index into Terminal.clusters
	isWide    uint32 = 1 << 30 // the glyph takes this column and the next one
	isTail    uint32 = 1 << 29 // the second column of a wide one
	isUnknown uint32 = 1 << 28 // drawn before the first byte that was seen
	glyphBits uint32 = 1<<28 - 1
)

// Wide reports whether the cell's glyph takes the next column as well.
func (c Cell) Wide() bool { return c.glyph&isWide != 0 }

// Tail reports whether the cell is the second column of a wide glyph.
func (c Cell) Tail() bool { return c.glyph&isTail != 0 }

// Blank reports whether nothing is to be seen in the cell but perhaps its background.
func (c Cell) Blank() bool { return c.glyph == 0 || c.glyph == ' ' || c.glyph == isUnknown }

// maxClusterBytes bounds the bytes of a character with its combining marks.
const maxClusterBytes = 32

// Text returns the characters that a cell shows: none for the second column of a wide
// glyph, a space for a blank.
func (t *Terminal) Text(c Cell) string {
	switch {
	case c.glyph&isCluster != 0:
		return t.clusters[c.glyph&glyphBits]
	case c.Tail():
		return ""
	case c.Blank():
		return " "
	}
	return string(rune(c.glyph & glyphBits))
}

// Style returns how a cell looks.
func (t *Terminal) Style(c Cell) Style { return t.look(c).style() }

func (t *Terminal) look(c Cell) look {
	if c.style&isInterned != 0 {
		return t.looks[c.style&^isInterned]
	}
	return look{common: c.style}
}

// maxInterned is how many looks, clusters or links are kept before those that no cell
// has any more are dropped.
const maxInterned = 1 << 16

// intern returns what a cell says of a look.
func (t *Terminal) intern(l look) uint32 {
	if l.common&hasRest == 0 {
		return l.common
	}
	recent := &t.recent[(uint32(l.rest.foreground)*31+uint32(l.rest.background)*7+l.common+l.rest.link)%recentLooks]
	if int(*recent) < len(t.looks) && t.looks[*recent] == l {
		return isInterned | *recent
	}
	i, ok := t.lookIndex[l]
	if !ok {
		i = uint32(len(t.looks))
		t.looks = append(t.looks, l)
		t.lookIndex[l] = i
	}
	*recent = i
	return isInterned | i
}

// recentLooks is how many looks are found without the map.
const recentLooks = 256

// cluster returns the glyph of a character with combining marks.
func (t *Terminal) cluster(text string) uint32 {
	if len(t.clusters) >= t.collectAt {
		t.collect()
	}
	t.clusters = append(t.clusters, text)
	return isCluster | uint32(len(t.clusters)-1)
}

// linkTo returns the index of a hyperlink.
func (t *Terminal) linkTo(l Link) uint32 {
	if l.URI == "" {
		return 0
	}
	if i, ok := t.linkIndex[l]; ok {
		return i
	}
	if len(t.links) >= t.collectAt {
		t.collect()
	}
	t.links = append(t.links, l)
	t.linkIndex[l] = uint32(len(t.links) - 1)
	return uint32(len(t.links) - 1)
}

// collect drops what no cell and no pen refers to any more.
func (t *Terminal) collect() {
	old := collection{t.looks, t.clusters, t.links, make([]uint32, len(t.looks))}
	t.looks, t.clusters, t.links = nil, nil, []Link{{}}
	t.lookIndex, t.linkIndex = map[look]uint32{}, map[Link]uint32{}
	keep := func(c *Cell) { *c = old.move(t, *c) }
	for _, g := range []*grid{t.main, t.alternate} {
		for _, r := range g.rows {
			keep(&r.fill)
			for i := range r.cells[:r.used] {
				keep(&r.cells[i])
			}
		}
	}
	t.internedPen = look{}
	for _, p := range []*look{&t.pen, &t.saved[0].pen, &t.saved[1].pen} {
		p.rest.link = t.moveLink(old.links, p.rest.link)
	}
	// Where most of it is in use, the next time is to be worth it.
	t.collectAt = max(maxInterned, 2*max(len(t.looks), len(t.clusters), len(t.links)))
}

// collection is what was interned before.
type collection struct {
	looks    []look
	clusters []string
	links    []Link
	moved    []uint32 // what cells say of each of the looks now, 0 where none has it so far
}

func (o *collection) move(t *Terminal, c Cell) Cell {
	if c.glyph&isCluster != 0 {
		t.clusters = append(t.clusters, o.clusters[c.glyph&glyphBits])
		c.glyph = c.glyph&^glyphBits | uint32(len(t.clusters)-1)
	}
	if c.style&isInterned == 0 {
		return c
	}
	to := &o.moved[c.style&^isInterned]
	if *to == 0 {
		l := o.looks[c.style&^isInterned]
		l.rest.link = t.moveLink(o.links, l.rest.link)
		*to = isInterned | uint32(len(t.looks))
		t.lookIndex[l] = uint32(len(t.looks))
		t.looks = append(t.looks, l)
	}
	c.style = *to
	return c
}

func (t *Terminal) moveLink(old []Link, i uint32) uint32 {
	if i == 0 {
		return 0
	}
	to, ok := t.linkIndex[old[i]]
	if !ok {
		to = uint32(len(t.links))
		t.links = append(t.links, old[i])
		t.linkIndex[old[i]] = to
	}
	return to
}
