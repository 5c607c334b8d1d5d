package cli

import "slices"

// keyFilter finds the detach keys in what is typed, however the terminal encodes them
// and however that is cut. A key that may be the first of several is kept back until
// the next one tells; so is a sequence that may become one of the keys, until flush.
type keyFilter struct {
	keys []byte

	held   []typed // may be the beginning of the keys, with what means nothing between them
	part   []byte  // a sequence that is not complete
	passed int     // how many bytes of part have been passed on already
}

// typed is one key, or what else a terminal sends.
type typed struct {
	bytes []byte // what is to be passed on if this is not a detach key
	key   int    // the byte that the key sends in a plain terminal, noKey or nothing
}

const (
	noKey   = -1 // another key, or no key
	nothing = -2 // a release, or a key like shift alone: it changes nothing
)

// maxPart bounds a sequence that may be a key.
const maxPart = 64

// filter returns what is to be passed on of p, and whether the keys were complete;
// what comes behind them is dropped. p is one read: an ESC at its end is a key.
func (f *keyFilter) filter(p []byte) (pass []byte, detach bool) {
	if len(f.keys) == 0 {
		return p, false
	}
	for _, c := range p {
		for _, t := range f.step(c) {
			if pass = append(pass, f.take(t)...); f.complete() {
				return pass, true
			}
		}
	}
	if string(f.part) != "\x1b" || f.passed > 0 {
		return pass, false
	}
	if slices.Contains(f.keys, '\x1b') {
		f.part = nil
		pass = append(pass, f.take(typed{[]byte{'\x1b'}, '\x1b'})...)
		return pass, f.complete()
	}
	if len(f.held) == 0 { // it is not kept back; the rest of a sequence may come all the same
		f.passed = 1
		pass = append(pass, '\x1b')
	}
	return pass, false
}

// incomplete reports whether a part of a sequence is kept back.
func (f *keyFilter) incomplete() bool { return len(f.part) > f.passed }

// flush returns a part of a sequence, which no more is to come of.
func (f *keyFilter) flush() (pass []byte) {
	if f.incomplete() {
		pass = f.take(f.whole(noKey))
	}
	f.part, f.passed = nil, 0
	return pass
}

// step takes one byte and returns what is complete with it.
func (f *keyFilter) step(c byte) []typed {
	switch {
	case len(f.part) == 0 && c == '\x1b':
		f.part = append(f.part, c)
		return nil
	case len(f.part) == 0:
		return []typed{{[]byte{c}, int(c)}}
	case len(f.part) == 1 && c != '[':
		escape := f.whole('\x1b')
		return append([]typed{escape}, f.step(c)...)
	case c == '\x1b' || c < 0x20 || c > 0x7e:
		broken := f.whole(noKey)
		return append([]typed{broken}, f.step(c)...)
	}
	f.part = append(f.part, c)
	switch {
	case len(f.part) == 2:
		return nil
	case c >= 0x40:
		return []typed{f.whole(keyOf(f.part))}
	case f.part[2] < '0' || f.part[2] > '9' || len(f.part) == maxPart:
		return []typed{f.whole(noKey)} // its rest is passed on as it comes
	}
	return nil
}

// whole returns what is kept of a sequence that is complete.
func (f *keyFilter) whole(key int) typed {
	t := typed{f.part[f.passed:], key}
	f.part, f.passed = nil, 0
	return t
}

// take takes the next key, and returns what is now known not to belong to the keys.
func (f *keyFilter) take(t typed) (pass []byte) {
	f.held = append(f.held, t)
	for len(f.held) > 0 && !f.mayBecomeKeys() {
		pass = append(pass, f.held[0].bytes...)
		f.held = f.held[1:]
	}
	return pass
}

// mayBecomeKeys reports whether held is a beginning of the keys.
func (f *keyFilter) mayBecomeKeys() bool {
	if f.held[0].key == nothing {
		return false
	}
	n := 0
	for _, t := range f.held {
		switch {
		case t.key == nothing:
			continue
		case n == len(f.keys) || t.key != int(f.keys[n]):
			return false
		}
		n++
	}
	return true
}

// complete reports whether all of the keys are held.
func (f *keyFilter) complete() bool {
	n := 0
	for _, t := range f.held {
		if t.key != nothing {
			n++
		}
	}
	return n == len(f.keys)
}
