package termmodes

import "fmt"

// Responder is Modes that also find what a program asks its terminal, and know what the
// terminal that it is told to have, an xterm-256color, answers. It is for when no other
// terminal is there.
type Responder struct {
	Modes
	// Version is what the terminal says that it is (XTVERSION).
	Version string

	answers []Answer
}

// Answer is what a terminal types in answer to one question.
type Answer struct {
	// Text is that. Empty means that it depends on where the cursor is behind the byte
	// before At: see CursorAnswer.
	Text []byte
	// At is the position behind the question, counted from the first byte scanned.
	At int64
	// Extended asks for the cursor in the form of DECXCPR.
	Extended bool
}

// maxAnswers bounds the answers to what is scanned at once.
const maxAnswers = 64

// Respond takes in what is written next, as Scan does, and returns the answers to all
// questions that are complete with it, in their order.
func (r *Responder) Respond(p []byte) []Answer {
	r.parser.scan(p, r)
	answers := r.answers
	r.answers = nil
	return answers
}

// sequence implements receiver.
func (r *Responder) sequence(p *parser, c byte) {
	switch {
	case c == 'c' && p.is(0, "") && p.param(0, 0) == 0: // DA1: a VT220 with colours
		r.answer("\x1b[?62;22c")
	case c == 'c' && p.is('>', "") && p.param(0, 0) == 0: // DA2
		r.answer("\x1b[>1;0;0c")
	case c == 'n' && p.is(0, "") && p.param(0, 0) == 5: // DSR
		r.answer("\x1b[0n")
	case c == 'n' && (p.is(0, "") || p.is('?', "")) && p.param(0, 0) == 6: // CPR, DECXCPR
		r.add(Answer{Extended: p.mark == '?'})
	case c == 'u' && p.is('?', ""):
		r.answer(fmt.Sprintf("\x1b[?%du", r.keys[r.screen()].flags()))
	case c == 'q' && p.is('>', "") && p.param(0, 0) == 0:
		r.answer("\x1bP>|banger " + r.Version + "\x1b\\")
	case c == 'm' && p.is('?', ""): // XTQMODKEYS
		if value, ok := r.keyModes[p.param(0, 0)]; ok && value != keyDisabled {
			r.answer(fmt.Sprintf("\x1b[>%d;%dm", p.param(0, 0), value))
		} else {
			r.answer(fmt.Sprintf("\x1b[>%dm", p.param(0, 0)))
		}
	case c == 'p' && p.is('?', "$"): // DECRQM
		r.answer(fmt.Sprintf("\x1b[?%d;%d$y", p.param(0, 0), r.privateState(p.param(0, 0))))
	case c == 'p' && p.is(0, "$"):
		r.answer(fmt.Sprintf("\x1b[%d;%d$y", p.param(0, 0), r.ansiState(p.param(0, 0))))
	}
	r.Modes.sequence(p, c)
}

// escape implements receiver.
func (r *Responder) escape(middle []byte, c byte) {
	if len(middle) == 0 && c == 'Z' { // DECID
		r.answer("\x1b[?62;22c")
	}
	r.Modes.escape(middle, c)
}

func (r *Responder) answer(text string) { r.add(Answer{Text: []byte(text)}) }

func (r *Responder) add(a Answer) {
	if len(r.answers) < maxAnswers {
		a.At = r.parser.at
		r.answers = append(r.answers, a)
	}
}

// The states of a mode, as DECRQM has them.
const (
	modeUnknown = iota
	modeSet
	modeReset
)

func modeState(on bool) int {
	if on {
		return modeSet
	}
	return modeReset
}

func (m *Modes) privateState(mode int) int {
	switch {
	case mode == modeSync:
		return modeState(m.frozen)
	case isScreen(mode):
		return modeState(m.AltScreen())
	case known(mode):
		return modeState(m.isOn(mode))
	}
	return modeUnknown
}

func (m *Modes) ansiState(mode int) int {
	if !ansiKnown(mode) {
		return modeUnknown
	}
	on, differs := m.ansi[mode]
	return modeState(differs && on || !differs && ansiInitially(mode))
}

// CursorAnswer returns the answer to a question for the cursor, which is in a row and a
// column from 1.
func (a Answer) CursorAnswer(row, col int) []byte {
	if a.Extended {
		return fmt.Appendf(nil, "\x1b[?%d;%dR", row, col)
	}
	return fmt.Appendf(nil, "\x1b[%d;%dR", row, col)
}
