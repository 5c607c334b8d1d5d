package emulator

// pen is how what is written next looks, and what cells say of it.
type pen struct {
	look
	interned look   // the last one that was looked up in the dictionary
	ink      uint32 // what a cell says of that
	blank    uint32 // and of what it leaves where it erases
}

// lookUp has ink and blank be those of the pen as it is.
func (p *pen) lookUp(d *dictionary) {
	p.ink, p.blank = d.intern(p.look), d.intern(p.onlyBackground())
	p.interned = p.look
}
