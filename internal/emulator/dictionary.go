package emulator

// dictionary keeps what does not fit into the 8 bytes of a cell, each once: looks with
// other colours than those of the palette, characters with combining marks, hyperlinks.
// Its owner collects before it adds anything to a full one.
type dictionary struct {
	looks     []look
	lookIndex map[look]uint32
	recent    [recentLooks]uint32 // indices of looks that were used
	clusters  []string
	links     []Link
	linkIndex map[Link]uint32
	limit     int // of the entries in one of these
}

const (
	// maxInterned is how many looks, clusters or links are kept before those that no cell
	// has any more are dropped.
	maxInterned = 1 << 16
	// recentLooks is how many looks are found without the map.
	recentLooks = 256
	// maxClusterBytes bounds the bytes of a character with its combining marks.
	maxClusterBytes = 32
)

func (d *dictionary) reset() {
	d.empty()
	d.limit = maxInterned
}

func (d *dictionary) empty() {
	d.looks, d.clusters, d.links = nil, nil, []Link{{}}
	d.lookIndex, d.linkIndex = map[look]uint32{}, map[Link]uint32{}
}

// full reports whether a pen, a cluster or a link may not find room.
func (d *dictionary) full() bool {
	return len(d.looks)+2 > d.limit || len(d.clusters) >= d.limit || len(d.links) >= d.limit
}

// text returns the characters that a cell shows: none for the second column of a wide
// glyph, a space for a blank.
func (d *dictionary) text(c Cell) string {
	switch {
	case c.glyph&isCluster != 0:
		return d.clusters[c.glyph&glyphBits]
	case c.Tail():
		return ""
	case c.Blank():
		return " "
	}
	return string(rune(c.glyph & glyphBits))
}

// look returns how a cell looks.
func (d *dictionary) look(c Cell) look {
	if c.style&isInterned != 0 {
		return d.looks[c.style&^isInterned]
	}
	return look{common: c.style}
}

// intern returns what a cell says of a look.
func (d *dictionary) intern(l look) uint32 {
	if l.common&hasRest == 0 {
		return l.common
	}
	recent := &d.recent[(uint32(l.rest.foreground)*31+uint32(l.rest.background)*7+l.common+l.rest.link)%recentLooks]
	if int(*recent) < len(d.looks) && d.looks[*recent] == l {
		return isInterned | *recent
	}
	i, ok := d.lookIndex[l]
	if !ok {
		i = uint32(len(d.looks))
		d.looks = append(d.looks, l)
		d.lookIndex[l] = i
	}
	*recent = i
	return isInterned | i
}

// cluster returns the glyph of a character with combining marks.
func (d *dictionary) cluster(text string) uint32 {
	d.clusters = append(d.clusters, text)
	return isCluster | uint32(len(d.clusters)-1)
}

// link returns the index of a hyperlink.
func (d *dictionary) link(l Link) uint32 {
	if l.URI == "" {
		return 0
	}
	i, ok := d.linkIndex[l]
	if !ok {
		i = uint32(len(d.links))
		d.links = append(d.links, l)
		d.linkIndex[l] = i
	}
	return i
}

// collect drops what no cell of the screens and no pen refers to any more.
func (d *dictionary) collect(s *screens, p *pen) {
	old := collection{to: d, looks: d.looks, clusters: d.clusters, links: d.links, moved: make([]uint32, len(d.looks))}
	d.empty()
	s.replace(old.move)
	for _, l := range []*look{&p.look, &s.main.saved.pen, &s.alternate.saved.pen} {
		l.rest.link = old.moveLink(l.rest.link)
	}
	p.interned = look{}
	// Where most of it is in use, the next time is to be worth it.
	d.limit = max(maxInterned, 2*max(len(d.looks), len(d.clusters), len(d.links)))
}

// collection is what a dictionary had before, on its way back to it.
type collection struct {
	to       *dictionary
	looks    []look
	clusters []string
	links    []Link
	moved    []uint32 // what cells say of each of the looks now, 0 where none has it so far
}

// move returns a cell that shows the same as before.
func (o *collection) move(c Cell) Cell {
	if c.glyph&isCluster != 0 {
		c.glyph = c.glyph&^(isCluster|glyphBits) | o.to.cluster(o.clusters[c.glyph&glyphBits])
	}
	if c.style&isInterned == 0 {
		return c
	}
	to := &o.moved[c.style&^isInterned]
	if *to == 0 {
		l := o.looks[c.style&^isInterned]
		l.rest.link = o.moveLink(l.rest.link)
		*to = o.to.intern(l)
	}
	c.style = *to
	return c
}

func (o *collection) moveLink(i uint32) uint32 { return o.to.link(o.links[i]) }
