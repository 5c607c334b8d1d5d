package termmodes

import (
	"fmt"
	"strings"
)

// pointer is the shape of the mouse pointer (OSC 22), and kitty's stack of shapes
// (https://sw.kovidgoyal.net/kitty/pointer-shapes/).
type pointer struct {
	shapes []string // the last one is in force; the first was set below the stack
}

const (
	maxShapes     = 16
	maxShapeBytes = 64
)

// handle carries out OSC 22.
func (p *pointer) handle(text string) {
	how, shape := byte('='), text
	if text != "" && strings.IndexByte("=><?", text[0]) >= 0 {
		how, shape = text[0], text[1:]
	}
	if len(shape) > maxShapeBytes || strings.ContainsFunc(shape, notInShapes) {
		return
	}
	switch how {
	case '=':
		p.set(shape)
	case '>':
		for name := range strings.SplitSeq(shape, ",") {
			p.push(name)
		}
	case '<':
		if n := len(p.shapes); n > 1 {
			p.shapes = p.shapes[:n-1]
		}
	}
	if len(p.shapes) == 1 && p.shapes[0] == "" {
		p.shapes = nil
	}
}

// notInShapes reports whether a character is in no list of names of shapes. Some would
// make another order of a shape that is set again: a question, for one.
func notInShapes(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '_' && r != '-' && r != ','
}

func (p *pointer) set(shape string) {
	if len(p.shapes) == 0 {
		p.shapes = []string{""}
	}
	p.shapes[len(p.shapes)-1] = shape
}

func (p *pointer) push(shape string) {
	if len(p.shapes) == 0 {
		p.shapes = []string{""}
	}
	if len(p.shapes) == maxShapes {
		p.shapes = append(p.shapes[:1], p.shapes[2:]...)
	}
	p.shapes = append(p.shapes, shape)
}

func (p *pointer) appendSet(b []byte) []byte {
	for i, shape := range p.shapes {
		switch {
		case i > 0:
			b = fmt.Appendf(b, "\x1b]22;>%s\x1b\\", shape)
		case shape != "":
			b = fmt.Appendf(b, "\x1b]22;%s\x1b\\", shape)
		}
	}
	return b
}

func (p *pointer) appendReset(b []byte) []byte {
	if len(p.shapes) == 0 {
		return b
	}
	b = append(b, strings.Repeat("\x1b]22;<\x1b\\", len(p.shapes)-1)...)
	return append(b, "\x1b]22;\x1b\\"...)
}
