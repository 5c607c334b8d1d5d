package screen_test

import (
	"fmt"
	"strings"
	"testing"

	"banger/internal/emulator"
)

// text is what a terminal shows, rows without blanks at their ends.
func text(e *emulator.Terminal) []string {
	rows, cols := e.Size()
	var all []string
	for y := range rows {
		var b strings.Builder
		for x := range cols {
			b.WriteString(e.Text(e.Cell(y, x)))
		}
		all = append(all, strings.TrimRight(b.String(), " "))
	}
	return all
}

// numbered is a screen of which each row says its number and its columns.
func numbered(rows, cols int) string {
	var b strings.Builder
	for y := range rows {
		fmt.Fprintf(&b, "\x1b[%d;1H%02d:", y+1, y+1)
		for x := 4; x <= cols; x++ {
			b.WriteByte('a' + byte(x%26))
		}
	}
	return b.String()
}

func TestWindow_ShowsAPartAndSaysSo(t *testing.T) {
	w := source(50, 200, numbered(50, 200)+"\x1b[1;1H").Window(10, 40)
	ours := emulator.New(10, 40)
	see := func() []string {
		_, _ = ours.Write(w.Paint())
		return text(ours)
	}
	whole := emulator.New(50, 200)
	_, _ = whole.Write([]byte(numbered(50, 200)))
	part := func(row, col, rows, cols int) []string {
		all := text(whole)[row : row+rows]
		for i := range all {
			all[i] = all[i][col : col+cols]
		}
		return all
	}
	check := func(what string, row, col int) {
		t.Helper()
		got := see()
		if want := part(row, col, 9, 40); strings.Join(got[:9], "|") != strings.Join(want, "|") {
			t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if want := fmt.Sprintf("[rows %d-%d of 50, columns %d-%d of 200]", row+1, row+9, col+1, col+40); got[9] != want[:min(40, len(want))] {
			t.Errorf("%s: the mark is %q, want %q", what, got[9], want)
		}
	}
	check("at first", 0, 0)
	_, _ = w.Write([]byte("\x1b[50;1H"))
	check("the cursor in the last row", 41, 0)
	if at := ours.Cursor(); at.Row != 8 || at.Col != 0 {
		t.Errorf("the cursor is at %+v", at)
	}
	_, _ = w.Write([]byte("\x1b[50;41H"))
	check("behind the last column", 41, 20)
	_, _ = w.Write([]byte("\x1b[50;200H"))
	check("in the last column", 41, 160)
	_, _ = w.Write([]byte("\x1b[30;1H"))
	check("back", 29, 0)
	before := len(w.Paint())
	if before > 40 {
		t.Errorf("where nothing has changed %d bytes are painted", before)
	}
	ours = emulator.New(10, 40)
	w.Resize(10, 40)
	check("after a resize", 29, 0)
}

func TestWindow_IsForSmallerTerminalsOnly(t *testing.T) {
	for _, size := range [][2]int{{24, 80}, {25, 80}, {100, 300}, {0, 0}} {
		if source(24, 80, "").Window(size[0], size[1]) != nil {
			t.Errorf("a terminal of %d rows and %d columns gets a window", size[0], size[1])
		}
	}
	for _, size := range [][2]int{{23, 80}, {24, 79}, {1, 1}, {23, 200}, {1, 200}} {
		w := source(24, 80, "text\r\n漢字").Window(size[0], size[1])
		if w == nil {
			t.Errorf("a terminal of %d rows and %d columns gets no window", size[0], size[1])
			continue
		}
		_, _ = w.Write([]byte(strings.Repeat("漢字 and more of it\r\n", 100) + "the end"))
		ours := emulator.New(size[0], size[1])
		_, _ = ours.Write(w.Paint())
		if broken := ours.Cursor(); broken.Row >= size[0] || broken.Col >= size[1] {
			t.Errorf("the cursor is at %+v", broken)
		}
		if size[1] >= 79 && size[0] > 1 && !strings.Contains(strings.Join(text(ours), "|"), "the end") {
			t.Errorf("%v: %q", size, text(ours))
		}
	}
}
