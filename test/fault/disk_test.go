package fault

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"banger"
	"banger/sessionstream"
	"banger/test/fault/workload"
	"banger/test/installation"
	"banger/test/wait"
)

// scribbled is what a scribbler has written in so many rounds.
func scribbled(t *testing.T, rounds int, size int64) map[banger.Stream][]byte {
	t.Helper()
	var out, errs strings.Builder
	for n := range rounds {
		if err := workload.WriteScribbles(n, size, &out, &errs); err != nil {
			t.Fatal(err)
		}
	}
	return map[banger.Stream][]byte{banger.StreamStdout: []byte(out.String()), banger.StreamStderr: []byte(errs.String())}
}

// diskReasons are those for which output is missing when others take the disk.
var diskReasons = []string{banger.GapDiskReserve, banger.GapDiskFull, "disk reserve, disk full"} //nolint:gochecknoglobals // a constant

// smallDisk is a place whose work disk is small.
type smallDisk struct {
	*rig
	fill func() // has a process that is not a session take what is left of it
	free func() // gives that back
}

// watchedNth is how many sessions there are for each that is watched.
const watchedNth = 3

// Many sessions write more than the disk has, and somebody else takes its last block:
// nobody dies, the exit of each is kept, and what is delivered and what is declared to be
// missing is, byte for byte, what was written: to a viewer and to one that comes later. A
// full disk takes no new session. When there is room again, the logs continue.
func fillDisk(d smallDisk, sessions int, size int64) {
	d.t.Helper()
	var all []banger.Session
	var watched []<-chan []banger.LogChunk
	for n := range sessions {
		x := d.work(fmt.Sprint("s", n), "scribbler", strconv.FormatInt(size, 10), strconv.Itoa(n%3))
		all = append(all, x)
		if n%watchedNth == 0 {
			watched = append(watched, collect(d.t, d.attach(x, sessionstream.Attach{Role: sessionstream.RoleViewer, From: &banger.LogCursor{}})))
		}
	}
	rounds := make([]map[banger.Stream][]byte, 4)
	for n := range rounds {
		rounds[n] = scribbled(d.t, n, size)
	}
	d.await(all, rounds[1])
	d.fill()
	for _, x := range all {
		d.send(x, "go on\n", false)
	}
	d.await(all, rounds[2])
	missed := int64(0)
	for n, x := range all[:sessions/2] {
		d.send(x, "", true)
		missed += d.checkExit(x, n%3, rounds[2])
	}
	d.fill() // what the logs have given up meanwhile
	fresh, err := d.client().StartSession(d.t.Context(), "v", banger.SessionRequest{Name: "late", Launch: banger.Launch{Command: "true", StdinMode: banger.StdinClosed}})
	if err == nil && (fresh.EndedBy != banger.EndedByLaunch || !strings.Contains(fresh.LaunchMessage, "full")) {
		d.t.Errorf("a full disk takes a session: %+v", fresh.SessionState)
	}
	d.t.Logf("a session that is late: %v %s", err, fresh.LaunchMessage)
	d.free()
	for n, x := range all[sessions/2:] {
		d.send(x, "go on\n", true)
		missed += d.checkExit(x, (n+sessions/2)%3, rounds[3])
	}
	if missed == 0 {
		d.t.Error("no log has given anything up: the disk was not full")
	}
	for n, chunks := range watched {
		seen := &account{t: d.t, produced: rounds[2], reasons: diskReasons}
		if n*watchedNth >= sessions/2 {
			seen.produced = rounds[3]
		}
		for _, c := range <-chunks {
			seen.take(c)
		}
		seen.check()
		d.t.Logf("who watched session %d has missed %d bytes of %d", n*watchedNth, seen.missed, seen.accounted())
	}
	d.start("after", nil, "true")
}

// await waits until sessions have written as much as what was produced.
func (d smallDisk) await(all []banger.Session, produced map[banger.Stream][]byte) {
	d.t.Helper()
	for _, x := range all {
		wait.For(d.t, "session "+x.Name+" to write", func() bool {
			end, err := d.client().ReadLogs(d.t.Context(), "v", string(x.ID), banger.LogRequest{}, func(banger.LogChunk) error { return nil })
			return err == nil && end.Next.Stdout == int64(len(produced[banger.StreamStdout])) && end.Next.Stderr == int64(len(produced[banger.StreamStderr]))
		})
	}
}

func (d smallDisk) send(x banger.Session, text string, eof bool) {
	d.t.Helper()
	if _, err := d.client().SendSession(d.t.Context(), "v", string(x.ID), banger.SendRequest{Data: strings.NewReader(text), EOF: eof}); err != nil {
		d.t.Fatal(err)
	}
}

// checkExit waits for the end of a session and checks its record and all its logs, of which
// it returns how many bytes are missing.
func (d smallDisk) checkExit(x banger.Session, code int, produced map[banger.Stream][]byte) (missed int64) {
	d.t.Helper()
	end, err := d.client().WaitSession(d.t.Context(), "v", string(x.ID))
	if err != nil || end.ExitCode == nil || *end.ExitCode != code || end.EndedBy != banger.EndedByExit ||
		end.StdoutBytes != int64(len(produced[banger.StreamStdout])) || end.StderrBytes != int64(len(produced[banger.StreamStderr])) {
		d.t.Errorf("session %s ended as %+v, %v; want status %d", x.Name, end.SessionState, err, code)
	}
	return d.checkLogs(x, produced)
}

func (d smallDisk) checkLogs(x banger.Session, produced map[banger.Stream][]byte) (missed int64) {
	d.t.Helper()
	kept := &account{t: d.t, produced: produced, reasons: diskReasons}
	_, err := d.client().ReadLogs(d.t.Context(), "v", string(x.ID), banger.LogRequest{Cursor: &banger.LogCursor{}}, func(c banger.LogChunk) error {
		kept.take(c)
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	kept.check()
	if kept.accounted() == kept.missed {
		d.t.Errorf("nothing is left of session %s", x.Name)
	}
	return kept.missed
}

// collect takes all that an attachment gets.
func collect(t *testing.T, a *sessionstream.Attachment) <-chan []banger.LogChunk {
	result := make(chan []banger.LogChunk, 1)
	go func() {
		defer a.Close()
		var chunks []banger.LogChunk
		for {
			m, err := a.Receive()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				result <- chunks
				return
			}
			if gap, ok := m.Control.(*sessionstream.Gap); ok {
				chunks = append(chunks, banger.LogChunk{Stream: gap.Stream, Offset: gap.From, Gap: gap.To - gap.From, Reason: gap.Reason})
			} else if m.Control == nil {
				chunks = append(chunks, banger.LogChunk{Stream: m.Stream, Offset: m.Offset, Data: append([]byte(nil), m.Data...)})
			}
		}
	}()
	return result
}

func TestFault_AFullDiskTakesNoSessionAndNoExit(t *testing.T) {
	l := newLoopbackOn(t, func(dir string) {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=700", sized(7, 32))); err != nil {
			t.Fatalf("cannot mount a small file system (this test needs root): %v", err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	})
	filler := filepath.Join(l.dir, guestsName, "filler")
	fillDisk(smallDisk{
		rig: &rig{l, t},
		fill: func() {
			if err := fillWith(filler); !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
		},
		free: func() {
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
		},
	}, sized(6, 20), int64(sized(1<<20, 8<<20)))
}

// fillGuest fills the work disk of the VM v, which is small.
func fillGuest(t *testing.T, i *installation.Installation) {
	m := newMachine(t, i)
	d := smallDisk{
		rig: &rig{m, t},
		fill: func() {
			r := m.installation.Run(t, "vm", "ssh", "v", "--", "cat /dev/zero >> /root/filler; cat /dev/zero >> /root/filler; df -k /root >&2; exit 7")
			if r.Code != 7 || !strings.Contains(string(r.Stderr), "No space left") {
				t.Fatalf("the disk is not full: %s", r)
			}
		},
		free: func() { m.installation.MustRun(t, "vm", "ssh", "v", "--", "rm /root/filler") },
	}
	// A slow machine has less to write if others have most of its disk already.
	sessions, size := sized(4, 20), sized(1<<19, 1<<20)
	const reserve = 4 << 20
	left := reserve + sessions*size*2/5
	m.installation.MustRun(t, "vm", "ssh", "v", "--", fmt.Sprintf("fallocate -l $(($(df --output=avail -k /root | tail -1) - %d))K /root/ballast", left>>10))
	fillDisk(d, sessions, int64(size))
	m.installation.MustRun(t, "vm", "stop", "v")
	for n, x := range map[string]int{"s0": 2, fmt.Sprint("s", sessions-1): 3} { // and on the disk of the stopped VM
		d.checkLogs(banger.Session{ID: banger.SessionID(n), Name: n}, scribbled(t, x, int64(size)))
	}
}

// fillWith writes a file until its disk has no byte left.
func fillWith(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	return err
}
