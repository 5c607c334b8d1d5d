package cli

import (
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
