package cli

import (
	"bytes"
	"fmt"
	"strings"
)

// detachKeys is the value of --detach-keys: the bytes that those keys send. The
// syntax is docker's: keys with commas between them, each a character or ctrl- and
// one of a-z, @, [, \, ], ^, _.
type detachKeys []byte

const defaultDetachKeys = `ctrl-\`

// String implements pflag.Value.
func (d *detachKeys) String() string {
	var keys []string
	for _, c := range *d {
		switch {
		case c < 0x20 && c > 0 && c <= 26:
			keys = append(keys, "ctrl-"+string('a'+c-1))
		case c < 0x20:
			keys = append(keys, "ctrl-"+string('@'+c))
		default:
			keys = append(keys, string(c))
		}
	}
	return strings.Join(keys, ",")
}

// Type implements pflag.Value; it is what --help shows.
func (d *detachKeys) Type() string { return "KEYS" }

// Set implements pflag.Value. Nothing means that no key detaches.
func (d *detachKeys) Set(text string) error {
	*d = nil
	if text == "" {
		return nil
	}
	for key := range strings.SplitSeq(text, ",") {
		code, ok := keyCode(key)
		if !ok {
			return fmt.Errorf(`%q is no key; give a character, or ctrl- and one of a-z, @, [, \, ], ^, _, and several with commas between them`, key)
		}
		*d = append(*d, code)
	}
	return nil
}

func keyCode(key string) (byte, bool) {
	name, ctrl := strings.CutPrefix(strings.ToLower(key), "ctrl-")
	if !ctrl {
		name = key
	}
	if len(name) != 1 || name[0] < 0x20 || name[0] > 0x7e {
		return 0, false
	}
	c := name[0]
	switch {
	case !ctrl:
		return c, true
	case c >= 'a' && c <= 'z':
		return c - 'a' + 1, true
	case c == '@' || c >= '[' && c <= '_':
		return c - '@', true
	}
	return 0, false
}

// keyFilter finds the detach keys in what is typed, however that is cut. What may
// be their beginning is kept back until the next byte tells.
type keyFilter struct {
	keys    []byte
	matched int // how many of keys were typed last
}

// filter returns what is to be passed on of p, and whether the keys were complete;
// what comes behind them is dropped.
func (f *keyFilter) filter(p []byte) (pass []byte, detach bool) {
	if len(f.keys) == 0 {
		return p, false
	}
	for _, c := range p {
		pass = append(pass, f.step(c)...)
		if f.matched == len(f.keys) {
			return pass, true
		}
	}
	return pass, false
}

// step takes one byte and returns what is now known not to belong to the keys.
func (f *keyFilter) step(c byte) []byte {
	typed := append(f.keys[:f.matched:f.matched], c)
	// The longest end of what was typed that is a beginning of the keys.
	for skip := range len(typed) + 1 {
		if bytes.HasPrefix(f.keys, typed[skip:]) {
			f.matched = len(typed) - skip
			return typed[:skip]
		}
	}
	return typed
}
