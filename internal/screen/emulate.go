package screen

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
)

// emulate shows the emulator output and returns the screen that is shown in the
// end (front), and the one that is shown when the alternate screen is left. It
// reports false if the emulator fails: output is untrusted, and it is not our code.
func (s Source) emulate(output []byte, alt bool) (front, back picture, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	e := newEmulator(s.Cols, s.Rows)
	defer e.close()
	if !e.write(output) {
		return front, back, false
	}
	front = e.picture()
	if alt != e.vt.IsAltScreen() {
		// The switch came before output begins: the emulator draws on the other one.
		return front, picture{row: 1, col: 1}, true
	}
	if !alt {
		return front, front, true
	}
	ok = e.write([]byte(leaveAlt))
	return front, e.picture(), ok
}

// emulator is vt.Emulator with bounds, and with what that does not tell.
type emulator struct {
	vt      *vt.Emulator
	drained chan struct{} // closed when nobody reads its answers any more
	margins string
	pen     []string // the SGR sequences since the last reset
}

// maxPen bounds the sequences that make up a pen; more have long been overwritten.
const maxPen = 32

func newEmulator(cols, rows int) *emulator {
	e := &emulator{vt: vt.NewEmulator(cols, rows), drained: make(chan struct{})}
	e.vt.SetScrollbackSize(1)
	go func() { // it answers queries, and waits until somebody reads that
		defer close(e.drained)
		_, _ = io.Copy(io.Discard, e.vt)
	}()
	// The last handler is asked first; they change parameters, or only look. What
	// is to be repeated is so no more often than fits any screen's side.
	limit := max(cols, rows, 1000)
	for final := '@'; final <= '~'; final++ {
		e.vt.RegisterCsiHandler(int(final), func(p ansi.Params) bool {
			for i := range p {
				if !p[i].HasMore() && p[i].Param(0) > limit {
					p[i] = ansi.Param(limit)
				}
			}
			return false
		})
	}
	e.vt.RegisterCsiHandler('m', e.seePen)
	e.vt.RegisterCsiHandler('r', e.seeMargins)
	e.vt.RegisterEscHandler('c', func() bool {
		e.margins, e.pen = "", nil
		return false
	})
	return e
}

// The emulator gets its bytes in pieces, until emulation has taken too long: what
// an honest program writes takes a tenth of a second.
const (
	pieceBytes   = 4 << 10
	maxEmulation = 2 * time.Second
)

// write reports false if it has given up.
func (e *emulator) write(p []byte) bool {
	deadline := time.Now().Add(maxEmulation)
	for len(p) > 0 {
		n := min(len(p), pieceBytes)
		if _, err := e.vt.Write(p[:n]); err != nil || time.Now().After(deadline) {
			return false
		}
		p = p[n:]
	}
	return true
}

// close ends the goroutine that reads answers.
func (e *emulator) close() {
	_ = e.vt.InputPipe().(io.Closer).Close()
	<-e.drained
}

// picture returns what the screen shows. It may write to it after that.
func (e *emulator) picture() picture {
	at := e.vt.CursorPosition()
	p := picture{
		rows: strings.Split(e.vt.Render(), "\n"), row: at.Y + 1, col: at.X + 1,
		margins: e.margins, pen: strings.Join(e.pen, ""),
	}
	if cell := e.vt.CellAt(at.X, at.Y); at.X == e.vt.Width()-1 && cell != nil && cell.Width == 1 {
		// Behind the last column a cursor waits for the next character before it
		// goes to the next line. Only by writing one can that be told.
		written := "\x1b[0m" + cell.Style.Styled(cell.Content)
		e.write([]byte("x"))
		if e.vt.CursorPosition() != at {
			p.last = written
		}
	}
	return p
}

// seePen follows SGR.
func (e *emulator) seePen(p ansi.Params) bool {
	var b strings.Builder
	for i, param := range p {
		if i > 0 {
			separator := byte(';')
			if p[i-1].HasMore() {
				separator = ':'
			}
			b.WriteByte(separator)
		}
		if n := param.Param(-1); n >= 0 {
			b.WriteString(strconv.Itoa(n))
		}
	}
	switch sequence := b.String(); {
	case sequence == "" || sequence == "0":
		e.pen = nil
	case len(e.pen) < maxPen:
		e.pen = append(e.pen, "\x1b["+sequence+"m")
	default:
		e.pen = append(e.pen[1:], "\x1b["+sequence+"m")
	}
	return false
}

// seeMargins follows DECSTBM.
func (e *emulator) seeMargins(p ansi.Params) bool {
	top, _, _ := p.Param(0, 1)
	bottom, _, _ := p.Param(1, e.vt.Height())
	e.margins = ""
	if top > 1 || bottom < e.vt.Height() {
		e.margins = fmt.Sprintf("\x1b[%d;%dr", top, bottom)
	}
	return false
}
