package sshd

import "golang.org/x/sys/unix"

// ttyCharacters gives the index in termios.Cc of the opcodes of RFC 4254,
// section 8, that set a control character.
var ttyCharacters = map[uint8]int{
	1:  unix.VINTR,
	2:  unix.VQUIT,
	3:  unix.VERASE,
	4:  unix.VKILL,
	5:  unix.VEOF,
	6:  unix.VEOL,
	7:  unix.VEOL2,
	8:  unix.VSTART,
	9:  unix.VSTOP,
	10: unix.VSUSP,
	12: unix.VREPRINT,
	13: unix.VWERASE,
	14: unix.VLNEXT,
	16: unix.VSWTC,
	18: unix.VDISCARD,
}

// The opcodes that set a flag, by the word of termios that holds it.
var (
	ttyInputFlags = map[uint8]uint32{
		30: unix.IGNPAR,
		31: unix.PARMRK,
		32: unix.INPCK,
		33: unix.ISTRIP,
		34: unix.INLCR,
		35: unix.IGNCR,
		36: unix.ICRNL,
		37: unix.IUCLC,
		38: unix.IXON,
		39: unix.IXANY,
		40: unix.IXOFF,
		41: unix.IMAXBEL,
		42: unix.IUTF8, // RFC 8160
	}
	ttyLocalFlags = map[uint8]uint32{
		50: unix.ISIG,
		51: unix.ICANON,
		52: unix.XCASE,
		53: unix.ECHO,
		54: unix.ECHOE,
		55: unix.ECHOK,
		56: unix.ECHONL,
		57: unix.NOFLSH,
		58: unix.TOSTOP,
		59: unix.IEXTEN,
		60: unix.ECHOCTL,
		61: unix.ECHOKE,
		62: unix.PENDIN,
	}
	ttyOutputFlags = map[uint8]uint32{
		70: unix.OPOST,
		71: unix.OLCUC,
		72: unix.ONLCR,
		73: unix.OCRNL,
		74: unix.ONOCR,
		75: unix.ONLRET,
	}
)

// noCharacter in a mode's value switches the control character off.
const noCharacter = 255

// apply sets the mode. Those that Linux does not have, or that mean nothing on a
// pseudo-terminal (speed, parity), are ignored, as the RFC has it.
func (m ttyMode) apply(t *unix.Termios) {
	if i, ok := ttyCharacters[m.Opcode]; ok {
		t.Cc[i] = uint8(m.Value)
		if m.Value == noCharacter {
			t.Cc[i] = 0 // _POSIX_VDISABLE of Linux
		}
		return
	}
	for _, word := range []struct {
		flags map[uint8]uint32
		bits  *uint32
	}{{ttyInputFlags, &t.Iflag}, {ttyLocalFlags, &t.Lflag}, {ttyOutputFlags, &t.Oflag}} {
		flag, ok := word.flags[m.Opcode]
		switch {
		case !ok:
		case m.Value != 0:
			*word.bits |= flag
		default:
			*word.bits &^= flag
		}
	}
}
