package termmodes

import "fmt"

// keyStack is one screen's stack of flags of kitty's keyboard protocol
// (https://sw.kovidgoyal.net/kitty/keyboard-protocol/): what keys send.
type keyStack struct {
	base   int   // the flags below all that was pushed
	pushed []int // the last ones are in force
	lost   int   // how many more a terminal may hold below these
}

const (
	maxKeyFlags = 31
	// maxKeyStack bounds the stack; terminals have 8 and more.
	maxKeyStack = 16
	maxLost     = 9999
)

// flags are those in force.
func (k *keyStack) flags() int {
	if n := len(k.pushed); n > 0 {
		return k.pushed[n-1]
	}
	return k.base
}

func (k *keyStack) push(flags int) {
	if len(k.pushed) == maxKeyStack {
		k.pushed = append(k.pushed[:0], k.pushed[1:]...)
		k.lost = min(k.lost+1, maxLost)
	}
	k.pushed = append(k.pushed, flags&maxKeyFlags)
}

func (k *keyStack) pop(n int) {
	if n <= len(k.pushed) {
		k.pushed = k.pushed[:len(k.pushed)-n]
		return
	}
	// What terminals do below their first entry is to have no flags.
	*k = keyStack{lost: max(0, k.lost-(n-len(k.pushed)))}
}

// apply sets flags (how is 1), adds them (2), or takes them away (3).
func (k *keyStack) apply(flags, how int) {
	flags &= maxKeyFlags
	switch now := k.flags(); how {
	case 2:
		flags |= now
	case 3:
		flags = now &^ flags
	}
	if n := len(k.pushed); n > 0 {
		k.pushed[n-1] = flags
	} else {
		k.base = flags
	}
}

func (k *keyStack) appendSet(b []byte) []byte {
	if k.base != 0 {
		b = fmt.Appendf(b, "\x1b[=%du", k.base)
	}
	for _, flags := range k.pushed {
		b = fmt.Appendf(b, "\x1b[>%du", flags)
	}
	return b
}

func (k *keyStack) appendReset(b []byte) []byte {
	if n := len(k.pushed) + k.lost; n > 0 {
		b = fmt.Appendf(b, "\x1b[<%du", n)
	}
	if k.base != 0 {
		b = append(b, "\x1b[=0u"...)
	}
	return b
}

// keyboard carries out CSI … u.
func (m interpreter) keyboard(p *parser) {
	keys := &m.keys[m.screen()]
	switch p.mark {
	case '>':
		keys.push(p.param(0, 0))
	case '<':
		keys.pop(max(1, p.param(0, 1)))
	case '=':
		keys.apply(p.param(0, 0), p.param(1, 1))
	}
}

// keyDisabled is the value of a resource that XTMODKEYS has disabled.
const keyDisabled = -1

// maxKeyResource is above the resources that there are.
const maxKeyResource = 15

// modifyKeys carries out XTMODKEYS (CSI > p ; v m), its disabling (CSI > p n), and
// XTFMTKEYS (CSI > p ; v f). Without a value a resource is reset, without anything all are.
func (m interpreter) modifyKeys(p *parser, final byte) {
	values := &m.keyModes
	if final == 'f' {
		values = &m.formats
	}
	resource := p.param(0, omitted)
	switch {
	case final == 'n' && resource == omitted:
		resource = 2 // modifyFunctionKeys
		fallthrough
	case final == 'n':
		if resource <= maxKeyResource {
			*values = change(*values, resource, keyDisabled, omitted-1)
		}
	case resource == omitted:
		*values = nil
	case resource > maxKeyResource:
	case p.param(1, omitted) == omitted:
		delete(*values, resource)
	default:
		*values = change(*values, resource, p.param(1, 0), omitted-1)
	}
}
