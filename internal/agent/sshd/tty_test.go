package sshd

import (
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

func TestTTYModes_SetAndClearWhatLinuxHas(t *testing.T) {
	termios := unix.Termios{Lflag: unix.ECHO | unix.ISIG, Iflag: unix.ICRNL}
	for _, m := range parseTTYModes([]byte{
		3, 0, 0, 0, 8, // VERASE is Ctrl-H
		9, 0, 0, 0, 255, // VSTOP is switched off
		42, 0, 0, 0, 1, // IUTF8
		53, 0, 0, 0, 0, // no ECHO
		129, 0, 0, 0x96, 0, // speed: ignored
		0,              // the end
		50, 0, 0, 0, 0, // not part of it
	}) {
		m.apply(&termios)
	}
	if termios.Cc[unix.VERASE] != 8 || termios.Cc[unix.VSTOP] != 0 {
		t.Errorf("characters are %v", termios.Cc)
	}
	if termios.Lflag != unix.ISIG || termios.Iflag != unix.ICRNL|unix.IUTF8 {
		t.Errorf("flags are %#x, %#x", termios.Lflag, termios.Iflag)
	}
}

func FuzzTTYRequest(f *testing.F) {
	f.Add([]byte{})
	f.Add(ssh.Marshal(struct {
		Term                string
		Columns, Rows, X, Y uint32
		Modes               string
	}{"xterm", 80, 1 << 31, 0, 0, "\x03\x00\x00\x00\x08\x00"}))
	f.Fuzz(func(t *testing.T, payload []byte) {
		request, err := parseTTYRequest(payload)
		if err != nil {
			return
		}
		if len(request.Term) > maxTermBytes || 5*len(request.Modes) > len(payload) {
			t.Errorf("out of bounds: %+v", request)
		}
		if slices.ContainsFunc(request.Modes, func(m ttyMode) bool { return m.Opcode == 0 || m.Opcode >= 160 }) {
			t.Errorf("modes without a defined length: %+v", request.Modes)
		}
		var termios unix.Termios
		for _, m := range request.Modes {
			m.apply(&termios)
		}
		if size := request.Size.winsize(); request.Size.Rows > 1<<16-1 && size.Rows != 1<<16-1 {
			t.Errorf("%d rows became %d", request.Size.Rows, size.Rows)
		}
	})
}
