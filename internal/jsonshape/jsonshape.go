// Package jsonshape bounds what a JSON text would become, before it is decoded: a few
// bytes of it can be a whole struct, a map or a list each.
package jsonshape

import (
	"errors"
	"fmt"
)

// Shape is what a text may have at most. A zero field bounds nothing.
type Shape struct {
	Values  int // objects, lists, and members or elements of them, together
	Depth   int // objects and lists in each other
	Members int // of the outermost object or list
}

// ErrNoObject says that a text is not an object.
var ErrNoObject = errors.New("it is not a JSON object")

// CheckObject is Check for what must be an object, from its first byte on.
func (s Shape) CheckObject(text []byte) error {
	if len(text) == 0 || text[0] != '{' {
		return ErrNoObject
	}
	return s.Check(text)
}

// Check fails if a text has more than s allows. It allocates nothing, and whether the text
// is JSON at all (RFC 8259) is not its business: of what is not, it counts what there is.
func (s Shape) Check(text []byte) error { return s.NewScan().Next(text) }

// Scan checks a text that comes in parts.
type Scan struct {
	shape                  Shape
	values, depth, members int
	inString, escaped      bool
}

// NewScan begins a text.
func (s Shape) NewScan() *Scan { return &Scan{shape: s, values: 1, members: 1} }

// Next takes in the next part. It fails as soon as the text has too much.
func (s *Scan) Next(part []byte) error {
	for _, c := range part {
		if s.inString {
			switch {
			case s.escaped:
				s.escaped = false
			case c == '\\':
				s.escaped = true
			case c == '"':
				s.inString = false
			}
			continue
		}
		switch c {
		case '"':
			s.inString = true
			continue
		case '{', '[':
			s.values++
			s.depth++
		case '}', ']':
			s.depth--
			continue
		case ',':
			s.values++
			if s.depth == 1 {
				s.members++
			}
		default:
			continue
		}
		if err := s.check(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scan) check() error {
	switch most := s.shape; {
	case most.Values > 0 && s.values > most.Values:
		return fmt.Errorf("it has more than %d values", most.Values)
	case most.Depth > 0 && s.depth > most.Depth:
		return fmt.Errorf("it is nested more than %d deep", most.Depth)
	case most.Members > 0 && s.members > most.Members:
		return fmt.Errorf("it has more than %d members", most.Members)
	}
	return nil
}
