/* Shows what libvterm makes of bytes: reads commands from stdin, each a letter and two
 * 32-bit numbers of this machine. N rows cols: a new terminal. R rows cols: resize it.
 * W n 0: write the n bytes that follow. D 0 0: dump cursor and cells to stdout. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <vterm.h>

static void put(uint32_t n) { fwrite(&n, sizeof n, 1, stdout); }

static uint32_t color(const VTermColor *c) {
	if (VTERM_COLOR_IS_DEFAULT_FG(c) || VTERM_COLOR_IS_DEFAULT_BG(c))
		return 0;
	if (VTERM_COLOR_IS_INDEXED(c))
		return 1 << 24 | c->indexed.idx;
	return 2 << 24 | c->rgb.red << 16 | c->rgb.green << 8 | c->rgb.blue;
}

static void dump(VTerm *vt) {
	int rows, cols;
	VTermPos pos;
	vterm_get_size(vt, &rows, &cols);
	vterm_state_get_cursorpos(vterm_obtain_state(vt), &pos);
	put(pos.row);
	put(pos.col);
	for (int y = 0; y < rows; y++)
		for (int x = 0; x < cols; x++) {
			VTermScreenCell cell;
			VTermPos at = {y, x};
			int n = 0;
			vterm_screen_get_cell(vterm_obtain_screen(vt), at, &cell);
			while (n < VTERM_MAX_CHARS_PER_CELL && cell.chars[n])
				n++;
			put(n);
			for (int i = 0; i < n; i++)
				put(cell.chars[i]);
			put(cell.attrs.bold | cell.attrs.italic << 2 | cell.attrs.blink << 3 |
			    cell.attrs.reverse << 4 | cell.attrs.strike << 6 | cell.attrs.underline << 8);
			put(color(&cell.fg));
			put(color(&cell.bg));
		}
	fflush(stdout);
}

int main(void) {
	VTerm *vt = NULL;
	struct { uint32_t what, a, b; } command;
	while (fread(&command, sizeof command, 1, stdin) == 1)
		switch (command.what) {
		case 'N':
			if (vt)
				vterm_free(vt);
			vt = vterm_new(command.a, command.b);
			vterm_set_utf8(vt, 1);
			vterm_screen_enable_altscreen(vterm_obtain_screen(vt), 1);
			vterm_screen_reset(vterm_obtain_screen(vt), 1);
			break;
		case 'R':
			vterm_set_size(vt, command.a, command.b);
			break;
		case 'W': {
			char *bytes = malloc(command.a + 1);
			if (!bytes || fread(bytes, 1, command.a, stdin) != command.a)
				return 1;
			vterm_input_write(vt, bytes, command.a);
			free(bytes);
			break;
		}
		case 'D':
			dump(vt);
		}
	return 0;
}
