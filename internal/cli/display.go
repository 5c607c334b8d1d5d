package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// display is a standard stream of ours that is a terminal. Whatever a command prints
// may quote a guest, so all of it is neutralised here, whether the command thought
// of that or not. What may reach the terminal as it is asks for that by name: terminal,
// an attachment to a session on a terminal; barProgress; and --raw (guestOutput).
type display struct {
	file  *os.File
	paint *paint

	mu   sync.Mutex // guards text: notices come from several goroutines
	text safeWriter
}

// paint is whether a guest has coloured a terminal, which all displays on it share. Safe
// for concurrent use.
type paint struct{ on atomic.Bool }

// colourReset ends all colours; ECMA-48, 8.3.117 (SGR).
const colourReset = "\x1b[m"

// newDisplays returns streams of this process, each neutralised if it is a terminal.
func newDisplays(out, errs io.Writer) (io.Writer, io.Writer) {
	p := &paint{}
	display := func(w io.Writer) io.Writer {
		file := terminalFile(w)
		if file == nil {
			return w
		}
		return &display{file: file, paint: p, text: safeWriter{to: file}}
	}
	return display(out), display(errs)
}

// Write implements io.Writer, for text of our own: it has none of a guest's colours.
func (d *display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.endColours(); err != nil {
		return 0, err
	}
	return d.text.Write(p)
}

// endColours has what follows not be in a guest's colours. The caller holds mu.
func (d *display) endColours() error {
	d.text.paint = nil
	if !d.paint.on.Swap(false) {
		return nil
	}
	if err := d.text.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(d.file, colourReset)
	return err
}

// colourful is a display for a guest's output, whose colours pass.
type colourful struct{ *display }

// Write implements io.Writer.
func (c colourful) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.paint = c.paint
	return c.text.Write(p)
}

// flush prints what is kept of a character that never was completed.
func flush(w io.Writer) error {
	d, ok := w.(*display)
	if !ok {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.text.Flush(); err != nil {
		return err
	}
	return d.endColours()
}

// terminalFile returns the terminal that a stream of this process is, nil if it is not one.
func terminalFile(stream any) *os.File {
	if d, ok := stream.(*display); ok {
		return d.file
	}
	if f, ok := stream.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// isTerminal reports whether a stream of this process is a terminal.
func isTerminal(stream any) bool { return terminalFile(stream) != nil }

// rawFlag adds --raw to a command that prints a session's bytes.
func rawFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("raw", false, "print control characters unchanged on a terminal; only for output that you trust")
}

// guestOutput is where bytes of a guest are written to: exactly as they are into a
// file or pipe, neutralised onto a terminal unless the user wants them raw. Raw bytes that
// are old have no effects on it beside what it shows.
func guestOutput(w io.Writer, raw bool) io.Writer {
	if d, ok := w.(*display); ok && raw {
		return &oldOutput{to: d.file}
	}
	return w
}

// printableJSON returns a JSON text that says the same and has only characters that
// are harmless on a terminal: the others are written as RFC 8259, section 7, allows.
// Those below U+0020 are escaped by every encoder.
func printableJSON(text []byte) []byte {
	var out bytes.Buffer
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == '\n' || harmless(r) && (r != utf8.RuneError || size > 1):
			out.Write(text[:size])
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
		text = text[size:]
	}
	return out.Bytes()
}
