package cli

import "testing"

func TestDetachKeys_AreWhatTheirNamesSay(t *testing.T) {
	for text, want := range map[string]string{
		`ctrl-\`: "\x1c", "ctrl-p,ctrl-q": "\x10\x11", "ctrl-@": "\x00", "ctrl-]": "\x1d", "ctrl-_,q": "\x1fq", "": "", "~,.": "~.",
	} {
		var keys detachKeys
		if err := keys.Set(text); err != nil || string(keys) != want || keys.String() != text {
			t.Errorf("%q is %q, shown as %q, %v", text, keys, keys.String(), err)
		}
	}
	for _, text := range []string{",", "ctrl-", "ctrl-ab", "enter", "é", "ctrl-1", "a,,b", "\x01"} {
		if err := new(detachKeys).Set(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
