package termmodes_test

import (
	"fmt"
	"maps"
	"testing"

	"banger/internal/termmodes"
)

func TestModes_AreFollowedHoweverTheBytesAreCut(t *testing.T) {
	for name, c := range map[string]struct {
		written string
		private string
		keypad  bool
	}{
		"nothing":                          {"hello\r\n\x1b[31mred\x1b[m", "map[]", false},
		"set":                              {"\x1b[?1049h\x1b[?1h\x1b=", "map[1:true 1049:true]", true},
		"several at once":                  {"\x1b[?1000;1006;2004h", "map[1000:true 1006:true 2004:true]", false},
		"set and reset":                    {"\x1b[?1049h\x1b[?1049l\x1b=\x1b>", "map[]", false},
		"on in a reset terminal":           {"\x1b[?25l\x1b[?7l\x1b[?7h", "map[25:false]", false},
		"not private":                      {"\x1b[4h\x1b[>1h\x1b[?25$p", "map[]", false},
		"not known":                        {"\x1b[?2026h\x1b[?31337h", "map[]", false},
		"a full reset":                     {"\x1b[?1049h\x1b[?25l\x1b=\x1bc", "map[]", false},
		"a soft reset":                     {"\x1b[?1h\x1b[?25l\x1b=\x1b[?2004h\x1b[!p", "map[2004:true]", false},
		"within a title":                   {"\x1b]0;[?25l\x07", "map[]", false},
		"a control within a sequence":      {"\x1b[?2\n5l", "map[25:false]", false},
		"a sequence that is broken off":    {"\x1b[?25\x18l\x1b[?1\x1b[?6h", "map[6:true]", false},
		"numbers without end":              {"\x1b[?" + fmt.Sprintf("%0400d", 25) + "l\x1b[?99999999999999999999h", "map[25:false]", false},
		"parameters without end":           {"\x1b[?" + fmt.Sprintf("%0*d", 1000, 0) + ";;;;;;;;;;;;;;;;;;;;;;;;;;;25l", "map[]", false},
		"what says nothing after a number": {"\x1b[?25 l", "map[]", false},
	} {
		whole, bytewise := &termmodes.Modes{}, &termmodes.Modes{}
		whole.Scan([]byte(c.written))
		for i := range len(c.written) {
			bytewise.Scan([]byte{c.written[i]})
		}
		for _, m := range []*termmodes.Modes{whole, bytewise} {
			if got := m.Private(); fmt.Sprint(got) != c.private || m.Keypad() != c.keypad {
				t.Errorf("%s: %v, keypad %v", name, got, m.Keypad())
			}
		}
	}
}

func TestModes_SetAndResetUndoEachOther(t *testing.T) {
	m := &termmodes.Modes{}
	m.Scan([]byte("\x1b[?1h\x1b[?25l\x1b[?2004;1002h\x1b="))
	if again := termmodes.Of(m.Private(), m.Keypad()); !maps.Equal(again.Private(), m.Private()) || !again.Keypad() {
		t.Errorf("made again: %v", again.Private())
	}
	other := &termmodes.Modes{}
	other.Scan(m.Set())
	if !maps.Equal(other.Private(), m.Private()) || !other.Keypad() {
		t.Errorf("set: %v", other.Private())
	}
	other.Scan(m.Reset())
	if len(other.Private()) != 0 || other.Keypad() {
		t.Errorf("reset: %v, keypad %v", other.Private(), other.Keypad())
	}
}
