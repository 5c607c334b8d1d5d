package jsonshape_test

import (
	"errors"
	"strings"
	"testing"

	"banger/internal/jsonshape"
)

func TestShape_CountsWhatATextWouldBecome(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		shape jsonshape.Shape
		ok    bool
	}{
		"as many values as allowed": {`{"a":[1,2,3]}`, jsonshape.Shape{Values: 5}, true},
		"one more":                  {`{"a":[1,2,3,4]}`, jsonshape.Shape{Values: 5}, false},
		"empty lists":               {`[[],[],[]]`, jsonshape.Shape{Values: 6}, false},
		"as deep as allowed":        {`[{"a":[]}]`, jsonshape.Shape{Depth: 3}, true},
		"deeper":                    {`[{"a":[[]]}]`, jsonshape.Shape{Depth: 3}, false},
		"closed, not deeper":        {`[[],[],[[]]]`, jsonshape.Shape{Depth: 3}, true},
		"outer members":             {`{"a":1,"b":{"c":1,"d":2}}`, jsonshape.Shape{Members: 2}, true},
		"too many outer members":    {`{"a":1,"b":2,"a":3}`, jsonshape.Shape{Members: 2}, false},
		"what is in strings":        {`["[{,\\\"[[[,,,","\\"]`, jsonshape.Shape{Values: 3, Depth: 1}, true},
		"a string without an end":   {`["a\`, jsonshape.Shape{Values: 3}, true},
		"no bound":                  {strings.Repeat("[", 1000), jsonshape.Shape{}, true},
	} {
		if err := c.shape.Check([]byte(c.text)); c.ok != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestShape_AnObjectIsOneFromItsFirstByte(t *testing.T) {
	for _, text := range []string{"", "[]", " {}", "null", "\u00a0[{}]", "1"} {
		if err := (jsonshape.Shape{}).CheckObject([]byte(text)); !errors.Is(err, jsonshape.ErrNoObject) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := (jsonshape.Shape{Values: 2}).CheckObject([]byte("{}")); err != nil {
		t.Error(err)
	}
}
