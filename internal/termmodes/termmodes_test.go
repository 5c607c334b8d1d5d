package termmodes_test

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

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
		"a title that another one ends":    {"\x1b]0;a\x1b[?25l", "map[25:false]", false},
		"a control within a sequence":      {"\x1b[?2\n5l", "map[25:false]", false},
		"a sequence that is broken off":    {"\x1b[?25\x18l\x1b[?1\x1b[?6h", "map[6:true]", false},
		"saved and restored":               {"\x1b[?25l\x1b[?25s\x1b[?25h\x1b[?25r\x1b[?1h\x1b[?1r", "map[25:false]", false},
		"numbers without end":              {"\x1b[?" + fmt.Sprintf("%0400d", 25) + "l\x1b[?99999999999999999999h", "map[25:false]", false},
		"parameters without end":           {"\x1b[?" + fmt.Sprintf("%0*d", 1000, 0) + strings.Repeat(";", 40) + "25l", "map[]", false},
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

// Each row is something that a program leaves on: what then sets it for a client that attaches,
// and what takes it back from one that leaves.
func TestModes_WhateverAProgramChangesIsSetAndTakenBack(t *testing.T) {
	for name, c := range map[string]struct{ written, setup, reset string }{
		"nothing":                                 {"text \x1b[1m bold \x1b[m\x1b[H\x1b[2J\r\n", "", ""},
		"kitty's keyboard, pushed":                {"\x1b[>1u\x1b[>5u", "\x1b[>1u\x1b[>5u", "\x1b[<2u"},
		"kitty's keyboard, pushed and popped":     {"\x1b[>1u\x1b[>5u\x1b[<2u", "", ""},
		"kitty's keyboard, popped too often":      {"\x1b[>1u\x1b[<9u\x1b[>3u", "\x1b[>3u", "\x1b[<1u"},
		"kitty's keyboard, set":                   {"\x1b[=5u\x1b[=2;2u\x1b[=4;3u", "\x1b[=3u", "\x1b[=0u"},
		"kitty's keyboard, set above a push":      {"\x1b[>1u\x1b[=8;1u", "\x1b[>8u", "\x1b[<1u"},
		"kitty's keyboard, 20 times":              {strings.Repeat("\x1b[>1u", 20), strings.Repeat("\x1b[>1u", 16), "\x1b[<20u"},
		"kitty's keyboard, of each screen":        {"\x1b[>1u\x1b[?1049h\x1b[>3u", "\x1b[>1u\x1b[?1049h\x1b[>3u", "\x1b[<1u\x1b[?1049l\x1b[<1u"},
		"kitty's keyboard, of the other screen":   {"\x1b[?1049h\x1b[>3u\x1b[?1049l", "\x1b[?47h\x1b[>3u\x1b[?47l", "\x1b[?47h\x1b[<1u\x1b[?47l"},
		"modifyOtherKeys":                         {"\x1b[>4;2m", "\x1b[>4;2m", "\x1b[>4m"},
		"modifyOtherKeys, reset":                  {"\x1b[>4;2m\x1b[>4m", "", ""},
		"modifyOtherKeys, disabled":               {"\x1b[>4n", "\x1b[>4n", "\x1b[>4m"},
		"modifyCursorKeys, and all of them reset": {"\x1b[>1;3m\x1b[>m", "", ""},
		"formatOtherKeys":                         {"\x1b[>4;1f", "\x1b[>4;1f", "\x1b[>4f"},
		"line drawing":                            {"\x1b(0", "\x1b(0", "\x1b(B"},
		"line drawing in G1":                      {"\x1b)0\x0e", "\x1b)0\x0e", "\x1b)B\x0f"},
		"other sets, other shifts":                {"\x1b*A\x1b.F\x1bn\x1b~", "\x1b.F\x1bn\x1b~", "\x1b*B\x0f\x1b}"},
		"a set that the cursor has kept":          {"\x1b(0\x1b7\x1b(B\x1b8", "\x1b(0", "\x1b(B\x1b7"},
		"not UTF-8":                               {"\x1b%@", "\x1b%@", "\x1b%G"},
		"eight-bit controls":                      {"\x1b G", "\x1b G", "\x1b F"},
		"insert and newline mode":                 {"\x1b[4;20h", "\x1b[4h\x1b[20h", "\x1b[4l\x1b[20l"},
		"local echo":                              {"\x1b[12l", "\x1b[12l", "\x1b[12h"},
		"locked keyboard":                         {"\x1b[2h", "", "\x1b[2l"},
		"synchronized output":                     {"\x1b[?2026h", "", "\x1b[?2026l"},
		"a mode that nobody knows":                {"\x1b[?31337h", "", "\x1b[?31337l"},
		"resize reports":                          {"\x1b[?2048h", "\x1b[?2048h", "\x1b[?2048l"},
		"meta keys off":                           {"\x1b[?1034l", "\x1b[?1034l", "\x1b[?1034h"},
		"a saved mode":                            {"\x1b[?2004h\x1b[?2004s\x1b[?2004l", "\x1b[?2004h\x1b[?2004s\x1b[?2004l", "\x1b[?2004s"},
		"cursor shape":                            {"\x1b[5 q", "\x1b[5 q", "\x1b[0 q"},
		"cursor shape, reset":                     {"\x1b[5 q\x1b[ q", "", ""},
		"cursor colour":                           {"\x1b]12;#ff0000\x07", "\x1b]12;#ff0000\x1b\\", "\x1b]112\x1b\\"},
		"cursor colour, asked for":                {"\x1b]12;?\x07", "", ""},
		"cursor colour, reset":                    {"\x1b]12;red\x07\x1b]112\x07", "", ""},
		"text, background and selection":          {"\x1b]10;a;b\x1b\\\x1b]17;c\x1b\\", "\x1b]10;a\x1b\\\x1b]11;b\x1b\\\x1b]17;c\x1b\\", "\x1b]110\x1b\\\x1b]111\x1b\\\x1b]117\x1b\\"},
		"palette":                                 {"\x1b]4;1;red;2;?;3;blue\x07", "\x1b]4;1;red\x1b\\\x1b]4;3;blue\x1b\\", "\x1b]104;1\x1b\\\x1b]104;3\x1b\\"},
		"palette, reset":                          {"\x1b]4;1;red;2;?;3;blue\x07\x1b]104;1\x07\x1b]104\x07", "", ""},
		"kitty's colours":                         {"\x1b]21;cursor=red;foreground=?\x07", "\x1b]21;cursor=red\x1b\\", "\x1b]21;cursor\x1b\\"},
		"title":                                   {"\x1b]2;a title\x07", "\x1b]2;a title\x1b\\", "\x1b]2;\x1b\\"},
		"title, of window and icon":               {"\x1b]0;both\x1b\\", "\x1b]0;both\x1b\\", "\x1b]0;\x1b\\"},
		"title, with that before kept":            {"\x1b[22;0t\x1b]2;new\x07", "\x1b[22;0t\x1b]2;new\x1b\\", "\x1b]2;\x1b\\\x1b[23;0t"},
		"title, kept and brought back":            {"\x1b[22;2t\x1b]2;new\x07\x1b[23;2t", "", ""},
		"title stack above a title":               {"\x1b]2;a\x07\x1b[22;2t\x1b]2;b\x07", "\x1b]2;a\x1b\\\x1b[22;2t\x1b]2;b\x1b\\", "\x1b[23;0t\x1b]2;\x1b\\"},
		"pointer shape":                           {"\x1b]22;wait\x07", "\x1b]22;wait\x1b\\", "\x1b]22;\x1b\\"},
		"pointer shape, pushed":                   {"\x1b]22;>wait\x07", "\x1b]22;>wait\x1b\\", "\x1b]22;<\x1b\\\x1b]22;\x1b\\"},
		"scroll margins":                          {"\x1b[2;20r", "\x1b[2;20r", "\x1b7\x1b[r\x1b8"},
		"scroll margins, reset":                   {"\x1b[2;20r\x1b[r", "", ""},
		"side margins":                            {"\x1b[?69h\x1b[3;40s", "\x1b[?69h\x1b[3;40s", "\x1b7\x1b[s\x1b[?69l\x1b[r\x1b8"},
		"protected characters":                    {"\x1b[1\"q", "\x1b[1\"q", "\x1b[0\"q"},
		"protected by SPA":                        {"\x1bV", "\x1b[1\"q", "\x1b[0\"q"},
		"pen":                                     {"\x1b[1;31m", "", "\x1b[0m"},
		"link":                                    {"\x1b]8;;http://x\x07", "", "\x1b]8;;\x1b\\"},
		"progress bar":                            {"\x1b]9;4;1;50\x07", "", "\x1b]9;4;0\x1b\\"},
		"printer":                                 {"\x1b[5i", "", "\x1b[4i"},
		"the mouse's place":                       {"\x1b[1'z", "\x1b[1'z", "\x1b[0'z"},
		"a VT52":                                  {"\x1b[?2l", "", "\x1b<"},
		"a soft reset":                            {"\x1b(0\x1b[4h\x1b[2;5r\x1b[1\"q\x1b[1m\x1b[?6h\x1b[!p", "", ""},
		"a full reset":                            {"\x1b[>1u\x1b[>4;2m\x1b(0\x1b[4h\x1b[5 q\x1b[?2026h\x1bH\x1b[?9h\x1bc", "", ""},
		"origin mode":                             {"\x1b[?6h", "\x1b[?6h", "\x1b[?6l\x1b[9999;1H"},
		// In a string, some terminals carry out controls: what is set again has none.
		"a question in a title":           {"\x1b]2;a\x01b\u009c\u009b6n\x07", "\x1b]2;ab\x1b\\", "\x1b]2;\x1b\\"},
		"a question in a title, one byte": {"\x1b]2;ab\xff\x9c\x9b6n\x07", "\x1b]2;ab\xff\x1b\\", "\x1b]2;\x1b\\"},
		"a question in a pushed title":    {"\x1b]2;a\u009b6n\x07\x1b[22;2t\x1b]2;b\x07", "\x1b]2;a\x1b\\\x1b[22;2t\x1b]2;b\x1b\\", "\x1b[23;0t\x1b]2;\x1b\\"},
		"a question in a colour":          {"\x1b]12;red\u009c\u009b6n\x07", "", "\x1b]112\x1b\\"},
		"a question in a named colour":    {"\x1b]21;cursor=\u009b6n;x\x9b6n=red\x07", "", ""},
		"a question in a shape":           {"\x1b]22;wait\u009b6n\x07", "", ""},
		"a shape that looks like another": {"\x1b]22;=?wait\x07\x1b]22;=>wait\x07", "", ""},
	} {
		m := &termmodes.Modes{}
		m.Scan([]byte(c.written))
		if got := string(m.Setup()); got != c.setup {
			t.Errorf("%s: set up by %q, not by %q", name, got, c.setup)
		}
		if got := string(m.Reset()); got != c.reset {
			t.Errorf("%s: taken back by %q, not by %q", name, got, c.reset)
		}
	}
	tabs := &termmodes.Modes{}
	tabs.Scan([]byte("\x1b[3g"))
	if got := string(tabs.Reset()); !strings.HasPrefix(got, "\x1b7\x1b[r\r\x1b[3g\x1b[8C\x1bH\x1b[8C\x1bH") || !strings.HasSuffix(got, "\x1b8") {
		t.Errorf("tab stops are taken back by %q", got)
	}
}

// written is what some program may write: sequences that matter, of all kinds, and other bytes.
func written() *rapid.Generator[[]byte] {
	number := rapid.SampledFrom([]string{"", "0", "1", "2", "3", "4", "5", "6", "7", "12", "20", "25", "47", "69", "80",
		"1000", "1004", "1006", "1047", "1048", "1049", "2004", "2026", "2027", "2031", "2048", "31337", "22", "23", "99999999"})
	sequence := rapid.Custom(func(t *rapid.T) string {
		mark := rapid.SampledFrom([]string{"", "", "?", "?", ">", "<", "="}).Draw(t, "mark")
		n := rapid.IntRange(1, 3).Draw(t, "n")
		params := make([]string, n)
		for i := range params {
			params[i] = number.Draw(t, "param")
		}
		middle := rapid.SampledFrom([]string{"", "", "", " ", "\"", "'", "$", "*", "!"}).Draw(t, "middle")
		return "\x1b[" + mark + strings.Join(params, ";") + middle + rapid.SampledFrom(strings.Split("hhhllrsmuuumfnqpitgWzx}~", "")).Draw(t, "final")
	})
	other := rapid.SampledFrom([]string{"text", "\r\n", "\x0e", "\x0f", "\x1b=", "\x1b>", "\x1b7", "\x1b8", "\x1bc", "\x1bH", "\x1bV", "\x1bW", "\x1bn", "\x1bo",
		"\x1b~", "\x1b}", "\x1b|", "\x1b(0", "\x1b(B", "\x1b)0", "\x1b-A", "\x1b*B", "\x1b+\"?", "\x1b%@", "\x1b%G", "\x1b G", "\x1b F", "\x1b<", "\x18", "\x1b",
		"\x1b]0;a\x07", "\x1b]1;b\x1b\\", "\x1b]2;c\x07", "\x1b]2;\x07", "\x1b]4;1;red;2;?\x07", "\x1b]104\x07", "\x1b]104;1\x07", "\x1b]10;x;y;z\x07", "\x1b]12;?\x07",
		"\x1b]112\x07", "\x1b]21;cursor=red;x=?\x07", "\x1b]21;cursor\x07", "\x1b]22;wait\x07", "\x1b]22;>a,b\x07", "\x1b]22;<\x07", "\x1b]22;\x07",
		"\x1b]8;;x\x07", "\x1b]8;;\x07", "\x1b]9;4;1\x07", "\x1b]9;4;0\x07", "\x1bPq\x1b\\", "\xe6\xbc\xa2"})
	return rapid.Custom(func(t *rapid.T) []byte {
		return []byte(strings.Join(rapid.SliceOfN(rapid.OneOf(sequence, other), 0, 30).Draw(t, "written"), ""))
	})
}

func TestModes_SetupGivesTheSameStateAndResetTheFirstOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := append(written().Draw(t, "bytes"), "\x18"...) // nothing is left incomplete
		whole, pieces, again := &termmodes.Modes{}, &termmodes.Modes{}, &termmodes.Modes{}
		whole.Scan(b)
		for rest := b; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			pieces.Scan(rest[:n])
			rest = rest[n:]
		}
		setup := whole.Setup()
		if got := pieces.Setup(); !bytes.Equal(got, setup) {
			t.Fatalf("in pieces: %q, not %q", got, setup)
		}
		again.Scan(setup)
		if got := again.Setup(); !bytes.Equal(got, setup) {
			t.Fatalf("set up by %q: %q", setup, got)
		}
		for name, m := range map[string]*termmodes.Modes{"what was written": whole, "the setup": again} {
			reset := m.Reset()
			m.Scan(reset)
			if setup, reset2 := m.Setup(), m.Reset(); len(setup) > 0 || len(reset2) > 0 || m.AltScreen() {
				t.Fatalf("%s, behind %q: %q, %q", name, reset, setup, reset2)
			}
		}
	})
}

func FuzzModes(f *testing.F) {
	f.Add([]byte("\x1b[>1u\x1b[?1049h\x1b]0;x\x07\x1b(0\x0e"))
	f.Add(bytes.Repeat([]byte("\x1b]4;1;red\x1b\\\x1b[22t"), 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, again := &termmodes.Modes{}, &termmodes.Modes{}
		m.Scan(append(b, "\x18"...))
		setup := m.Setup()
		if len(setup) > 24<<10 {
			t.Fatalf("%d bytes set it up", len(setup))
		}
		again.Scan(setup)
		if got := again.Setup(); !bytes.Equal(got, setup) {
			t.Fatalf("set up by %q: %q", setup, got)
		}
		m.Scan(m.Reset())
		if left := m.Reset(); len(left) > 0 || len(m.Setup()) > 0 {
			t.Fatalf("left: %q", left)
		}
	})
}
