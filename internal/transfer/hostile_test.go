package transfer

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// put sends an entry, file one with its bytes.
func put(f *frames, k kind, e Entry) { _ = f.write(k, e.append(nil)) }

func putFile(f *frames, e Entry, data string) {
	e.Size = int64(len(data))
	put(f, frameFile, e)
	sum := newDigest()
	sum.write(0, []byte(data))
	_ = f.write(frameBytes, []byte(data))
	_ = f.write(frameCheck, binary.BigEndian.AppendUint64(nil, sum.total()))
}

// A guest says whatever it wants. The copy stays inside of its target, ends, and leaves nothing
// there if it was not a copy.
func TestFetch_AHostileGuestStaysInsideTheTarget(t *testing.T) {
	dir := Source{Form: FormDir}
	outside := t.TempDir()
	marker := write(t, outside+"/marker", "unchanged")
	for name, c := range map[string]struct {
		source Source
		say    func(f *frames)
		left   string // at the target; empty if there is no copy
		fails  string
	}{
		"a name that leads out": {dir, func(f *frames) {
			put(f, frameDir, Entry{})
			putFile(f, Entry{Name: "../evil"}, "x")
		}, "", "cannot be the name"},
		"two dots": {dir, func(f *frames) {
			put(f, frameDir, Entry{})
			put(f, frameDir, Entry{Name: ".."})
			putFile(f, Entry{Name: "evil"}, "x")
		}, "", "cannot be the name"},
		"an absolute name": {dir, func(f *frames) {
			put(f, frameDir, Entry{})
			putFile(f, Entry{Name: marker}, "x")
		}, "", "cannot be the name"},
		"a name of the copy itself": {dir, func(f *frames) { put(f, frameDir, Entry{Name: "evil"}) }, "", "cannot be the name"},
		"a NUL":                     {dir, func(f *frames) { put(f, frameDir, Entry{}); putFile(f, Entry{Name: "a\x00b"}, "x") }, "", "cannot be the name"},
		"more steps up than down":   {dir, func(f *frames) { put(f, frameDir, Entry{}); _ = f.write(frameUp); _ = f.write(frameUp) }, "", "behind the last directory"},
		"a link, and a file below it": {dir, func(f *frames) {
			put(f, frameDir, Entry{})
			put(f, frameSymlink, Entry{Name: "out", Target: outside})
			put(f, frameDir, Entry{Name: "out"})
			putFile(f, Entry{Name: "marker"}, "x")
			_ = f.write(frameUp)
			_ = f.write(frameUp)
			_ = f.say(frameEnd, End{Entries: 4})
		}, "s/\ns/out -> " + outside, ""},
		"a link, and a file of its name": {dir, func(f *frames) {
			put(f, frameDir, Entry{})
			put(f, frameSymlink, Entry{Name: "out", Target: marker})
			putFile(f, Entry{Name: "out"}, "x")
			_ = f.write(frameUp)
			_ = f.say(frameEnd, End{Entries: 3})
		}, "s/\ns/out \"x\"", ""},
		"another name of what it has not sent": {dir, func(f *frames) {
			put(f, frameDir, Entry{})
			put(f, frameHardlink, Entry{Name: "l", Link: 7})
			_ = f.write(frameUp)
			_ = f.say(frameEnd, End{Entries: 2})
		}, "s/", ""},
		"another form than it announced": {Source{Form: FormFile}, func(f *frames) { put(f, frameDir, Entry{}) }, "", "cannot be the name"},
		"a device":                       {dir, func(f *frames) { put(f, frameDir, Entry{}); put(f, 'v', Entry{Name: "sda"}) }, "", "among entries"},
		"an end that is too early":       {dir, func(f *frames) { put(f, frameDir, Entry{}); _ = f.say(frameEnd, End{Entries: 1}) }, "", "entries"},
		"an end with more entries":       {dir, func(f *frames) { put(f, frameDir, Entry{}); _ = f.write(frameUp); _ = f.say(frameEnd, End{Entries: 2}) }, "", "entries"},
		"a frame of a gigabyte":          {dir, func(f *frames) { _, _ = f.w.WriteString("d\x40\x00\x00\x00") }, "", "a frame of"},
		"a file that has more than its size": {Source{Form: FormFile, Size: 1}, func(f *frames) {
			put(f, frameFile, Entry{Size: 1})
			_ = f.write(frameBytes, []byte("xx"))
		}, "", "has more"},
		"a file that has less": {Source{Form: FormFile, Size: 3}, func(f *frames) {
			put(f, frameFile, Entry{Size: 3})
			_ = f.write(frameBytes, []byte("xx"))
			_ = f.write(frameCheck, make([]byte, 8))
		}, "", "not what was sent"},
		"a wrong digest": {Source{Form: FormFile, Size: 2}, func(f *frames) {
			put(f, frameFile, Entry{Size: 2})
			_ = f.write(frameBytes, []byte("xx"))
			_ = f.write(frameCheck, []byte("12345678"))
		}, "", "not what was sent"},
		"a file that begins in the middle": {Source{Form: FormFile, Size: 9}, func(f *frames) { put(f, frameFile, Entry{Size: 9, Offset: 5}) }, "", "begins at 5"},
		"directories without an end": {dir, func(f *frames) {
			put(f, frameDir, Entry{})
			for range 2000 {
				put(f, frameDir, Entry{Name: "d"})
			}
		}, "", "in each other"},
		"a file that needs more room than there is": {Source{Form: FormFile, Size: 1 << 60}, func(f *frames) {
			put(f, frameFile, Entry{Size: 1 << 60, Data: 1 << 60})
		}, "", "is full"},
	} {
		t.Run(name, func(t *testing.T) {
			to := t.TempDir()
			remote := speak(t, c.source, c.say)
			result, err := remote.Fetch(t.Context(), Request{Path: "/s"}, "", to, &Progress{}, nil)
			if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%+v, %v", result, err)
			}
			if got := listing(t, to); got != c.left {
				t.Errorf("the target has\n%s\nnot\n%s", got, c.left)
			}
			if listing(t, outside) != `marker "unchanged"` {
				t.Errorf("outside is\n%s", listing(t, outside))
			}
			if strings.Contains(name, "below") && len(result.Problems) == 0 {
				t.Error("nothing is reported")
			}
		})
	}
}

// A guest that says that more bytes are no hole than are may not make the host's disk full; see
// room. A hole costs nothing.
func TestFetch_AHugeHoleTakesNoRoom(t *testing.T) {
	to := t.TempDir()
	const size = 1 << 43 // less than ext4 has
	remote := speak(t, Source{Form: FormFile, Size: size}, func(f *frames) {
		put(f, frameFile, Entry{Size: size})
		_ = f.write(frameHole, binary.AppendUvarint(nil, size))
		_ = f.write(frameCheck, binary.BigEndian.AppendUint64(nil, newDigest().total()))
		_ = f.say(frameEnd, End{Entries: 1})
	})
	if _, err := remote.Fetch(t.Context(), Request{Path: "/s"}, "", filepath.Join(to, "f"), &Progress{}, nil); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(to + "/f"); err != nil || info.Size() != size {
		t.Errorf("%v, %v", info, err)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte("d\x00\x00\x00\x01\x00"))
	f.Add(append([]byte("d\x00\x00\x00\x0d"), make([]byte, 13)...))
	f.Fuzz(func(t *testing.T, stream []byte) {
		dir := t.TempDir()
		target, err := openTarget(dir, "s", dir)
		must(t, err)
		w := &writing{target: target, sink: newDiskSink(target, false, true), source: Source{Form: FormDir}}
		in := newFrames(readOnly{strings.NewReader(string(stream))})
		if result := w.receive(t.Context(), in, nil); result.Error != nil && listing(t, dir) != "" {
			t.Errorf("a refused copy leaves\n%s", listing(t, dir))
		}
	})
}

// readOnly is a connection on which nothing is said.
type readOnly struct{ *strings.Reader }

func (readOnly) Write(p []byte) (int, error) { return len(p), nil }
