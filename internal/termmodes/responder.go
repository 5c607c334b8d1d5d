package termmodes

import "fmt"

// Responder is Modes that also find what a program asks its terminal, and know what the
// terminal named in its TERM, an xterm-256color, answers. It is for when no other
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
	r.parser.scan(p, asking{interpreter{&r.Modes}, r})
	answers := r.answers
	r.answers = nil
	return answers
}

// asking is the receiver of what a Responder scans.
type asking struct {
	interpreter
	of *Responder
}

// sequence implements receiver.
func (a asking) sequence(p *parser, c byte) {
	switch {
	case c == 'c' && p.is(0, "") && p.param(0, 0) == 0: // DA1: a VT220 with colours
		a.of.answer("\x1b[?62;22c")
	case c == 'c' && p.is('>', "") && p.param(0, 0) == 0: // DA2
		a.of.answer("\x1b[>1;0;0c")
	case c == 'n' && p.is(0, "") && p.param(0, 0) == 5: // DSR
		a.of.answer("\x1b[0n")
	case c == 'n' && (p.is(0, "") || p.is('?', "")) && p.param(0, 0) == 6: // CPR, DECXCPR
		a.of.add(Answer{Extended: p.mark == '?'})
	case c == 'u' && p.is('?', ""):
		a.of.answer(fmt.Sprintf("\x1b[?%du", a.keys[a.screen()].flags()))
	case c == 'q' && p.is('>', "") && p.param(0, 0) == 0:
		a.of.answer("\x1bP>|banger " + a.of.Version + "\x1b\\")
	case c == 'm' && p.is('?', ""): // XTQMODKEYS
		if value, ok := a.keyModes[p.param(0, 0)]; ok && value != keyDisabled {
			a.of.answer(fmt.Sprintf("\x1b[>%d;%dm", p.param(0, 0), value))
		} else {
			a.of.answer(fmt.Sprintf("\x1b[>%dm", p.param(0, 0)))
		}
	case c == 'p' && p.is('?', "$"): // DECRQM
		a.of.answer(fmt.Sprintf("\x1b[?%d;%d$y", p.param(0, 0), a.of.privateState(p.param(0, 0))))
	case c == 'p' && p.is(0, "$"):
		a.of.answer(fmt.Sprintf("\x1b[%d;%d$y", p.param(0, 0), a.of.ansiState(p.param(0, 0))))
	}
	a.interpreter.sequence(p, c)
}

// escape implements receiver.
func (a asking) escape(middle []byte, c byte) {
	if len(middle) == 0 && c == 'Z' { // DECID
		a.of.answer("\x1b[?62;22c")
	}
	a.interpreter.escape(middle, c)
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

func (r *Responder) privateState(mode int) int {
	switch {
	case mode == modeSync:
		return modeState(r.frozen)
	case isScreen(mode):
		return modeState(r.AltScreen())
	case known(mode):
		return modeState(r.isOn(mode))
	}
	return modeUnknown
}

func (r *Responder) ansiState(mode int) int {
	if !ansiKnown(mode) {
		return modeUnknown
	}
	on, differs := r.ansi[mode]
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
