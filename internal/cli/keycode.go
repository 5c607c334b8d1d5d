package cli

import (
	"strconv"
	"strings"
)

// The modifiers of a key, as kitty's protocol has them; xterm's are the first four.
const (
	shiftHeld = 1 << iota
	altHeld
	ctrlHeld
	superHeld
	hyperHeld
	metaHeld
	capsLock
	numLock
)

// keyOf returns which byte a plain terminal would have sent for a key, of which there is
// a whole control sequence: noKey if none, nothing if the key only was let go, or is a
// modifier. The encodings are those of kitty's keyboard protocol (CSI code:shifted:base ;
// modifiers:event ; text u), of xterm's modifyOtherKeys (CSI 27 ; modifiers ; code ~, or as
// kitty's), and of the Windows terminals (CSI key ; scan ; char ; down ; … _).
func keyOf(sequence []byte) int {
	final := sequence[len(sequence)-1]
	fields := strings.Split(string(sequence[2:len(sequence)-1]), ";")
	number := func(i, j, other int) int {
		if i < len(fields) {
			if parts := strings.Split(fields[i], ":"); j < len(parts) && parts[j] != "" {
				if n, err := strconv.Atoi(parts[j]); err == nil {
					return n
				}
				return noKey
			}
		}
		return other
	}
	if final == '_' {
		return windowsKey(number(0, 0, 0), number(2, 0, 0), number(3, 0, 0))
	}
	const released = 3
	modifiers := number(1, 0, 1) - 1
	switch {
	case number(1, 1, 1) == released:
		return nothing
	case final == '~' && number(0, 0, 0) == 27 && len(fields) == 3:
		return plainKey(number(2, 0, noKey), 0, 0, 0, modifiers)
	case final == 'u':
		return plainKey(number(0, 0, noKey), number(0, 1, 0), number(0, 2, 0), number(2, 0, 0), modifiers)
	}
	return noKey
}

// windowsKey knows the key by the character that it has made.
func windowsKey(key, char, down int) int {
	const shift, control, menu, capital = 0x10, 0x11, 0x12, 0x14 // VK_…
	switch {
	case down == 0, key == shift, key == control, key == menu, key == capital:
		return nothing
	case char > 0 && char < 0x7f || char == 0 && key == '2': // ctrl-@
		return char
	}
	return noKey
}

// plainKey returns the byte for a key with its code in Unicode, that of the same key with
// shift, that of its place on an American keyboard, the text it makes, and modifiers.
func plainKey(code, shifted, base, text, modifiers int) int {
	if isModifier(code) {
		return nothing
	}
	if code > 0x7f && base > 0 { // the layout has other letters
		code, shifted = base, 0
	}
	switch held := modifiers &^ (capsLock | numLock); {
	case code < 0 || code > 0x7e || held&^(shiftHeld|ctrlHeld) != 0:
		return noKey
	case held&ctrlHeld == 0:
		return printable(code, shifted, text, modifiers)
	case held&shiftHeld != 0:
		return withControl(withShift(code, shifted))
	default:
		return withControl(code)
	}
}

// withControl returns what a key with ctrl sends, if that has a byte.
func withControl(code int) int {
	switch {
	case code < 0:
		return noKey
	case code >= 'A' && code <= 'Z' || code >= 'a' && code <= 'z':
		return code & 0x1f
	case code >= '@' && code <= '_':
		return code - '@'
	case code == ' ':
		return 0
	case code < 0x20:
		return code
	}
	return noKey
}

// withShift returns the sign that shift makes of a key, which with ctrl is one of @, ^
// and _ only if that was said or if the keyboard is an American one.
func withShift(code, shifted int) int {
	if shifted == 0 {
		shifted = map[int]int{'2': '@', '6': '^', '-': '_'}[code]
	}
	switch {
	case code == '@' || code == '^' || code == '_': // xterm tells the sign, not the key
		return code
	case shifted == '@' || shifted == '^' || shifted == '_':
		return shifted
	}
	return noKey // with another sign it is another key
}

// printable returns what a key without ctrl sends.
func printable(code, shifted, text, modifiers int) int {
	upper := modifiers&shiftHeld != 0
	isLetter := code >= 'a' && code <= 'z'
	if isLetter && modifiers&capsLock != 0 {
		upper = !upper
	}
	switch {
	case text > 0 && text < 0x7f:
		return text
	case upper && isLetter:
		return code - 'a' + 'A'
	case upper && shifted > 0 && shifted < 0x7f:
		return shifted
	case upper && code < '!':
		return noKey
	}
	return code
}

// isModifier reports whether a key of kitty's protocol is one that is held with others.
func isModifier(code int) bool {
	const capsLockKey, numLockKey, leftShift, level5Shift = 57358, 57360, 57441, 57454
	return code >= capsLockKey && code <= numLockKey || code >= leftShift && code <= level5Shift
}
