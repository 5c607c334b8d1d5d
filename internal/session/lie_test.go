//go:build !unit

package session_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/guestconfig"
	"banger/internal/hosttest"
	"banger/internal/image/ext4"
	"banger/internal/machine"
	"banger/internal/sessiondir"
)

// A guest may write on its disk what it likes. Whatever that is: nothing but the disk is
// read, its other sessions are as they were, each reading takes no more than
// maxLieBytes of memory, all garbage counted, and ends in no more time than maxLieTime.
const (
	maxLieBytes = 32 << 20
	maxLieTime  = 2 * time.Minute // a lie that would cost for ever, on the busiest machine
)

// secret is what is in a file of the host, to which links lead.
const secret = "this is none of the guest's business"

// realDisks are disks that are read as the daemon reads them.
type realDisks struct{ machine.Disks }

func (realDisks) ReadDisk(ctx context.Context, path string, f func(fs.FS) error) error {
	return ext4.ReadDisk(ctx, path, f)
}

// liar is a VM that does not run and whose disk was written by a hostile guest: with
// an honest session beside the one about which it lies.
type liar struct {
	t             *testing.T
	h             *hosttest.Host
	vm            banger.VM
	honest, lying banger.Session
	host          string // a file of the host
	root          string // what goes onto the disk
	debugfs       []string
	patch         func(image []byte)
}

func newLiar(t *testing.T) *liar {
	t.Helper()
	l := &liar{t: t, h: hosttest.NewWith(t, bin, hosttest.Options{Disks: func(d machine.Disks) machine.Disks { return realDisks{d} }})}
	l.root, l.host = t.TempDir(), filepath.Join(t.TempDir(), "secret")
	vm, err := l.h.VMs.CreateVM(t.Context(), banger.VMRequest{Name: vmName})
	l.check(err)
	l.vm = vm
	l.check(os.WriteFile(l.host, []byte(secret+"\n"), 0o644))
	l.honest, l.lying = l.session("honest"), l.session("lying")
	at := time.Now().UTC()
	sessions := disk(filepath.Join(l.root, guestconfig.SessionsOnDisk))
	sessions.put(t, l.honest.ID, "honest\n", at, ended(4, at))
	sessions.put(t, l.lying.ID, "lying\n", at, banger.SessionState{Status: banger.StatusRunning, Sequence: 2})
	return l
}

// session makes the record of a session that runs.
func (l *liar) session(name string) banger.Session {
	l.t.Helper()
	x := banger.Session{ID: banger.NewSessionID(), VMID: l.vm.ID, Name: name, Launch: banger.Launch{Command: "x", StdinMode: banger.StdinClosed}}
	x.Status = banger.StatusRunning
	x, _, err := l.h.Store.Sessions.CreateSession(l.t.Context(), x, "")
	l.check(err)
	return x
}

func (l *liar) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// dir is the directory of a session, or what is in it, before it goes onto the disk.
func (l *liar) dir(x banger.Session, name ...string) string {
	return filepath.Join(append([]string{l.root, guestconfig.SessionsOnDisk, string(x.ID)}, name...)...)
}

// inside is the same as a path on the disk.
func (l *liar) inside(x banger.Session, name ...string) string {
	return "/" + filepath.Join(append([]string{guestconfig.SessionsOnDisk, string(x.ID)}, name...)...)
}

// replace puts something else in the place of a file of the lying session.
func (l *liar) replace(name string, with func(path string) error) {
	l.t.Helper()
	path := l.dir(l.lying, name)
	l.check(os.RemoveAll(path))
	l.check(with(path))
}

// write replaces a file by content.
func (l *liar) write(name string, content []byte) {
	l.t.Helper()
	l.replace(name, func(path string) error { return os.WriteFile(path, content, 0o600) })
}

// claim gives a file of the lying session a size.
func (l *liar) claim(name string, size int64) {
	l.debugfs = append(l.debugfs, fmt.Sprintf("set_inode_field %s size %d", l.inside(l.lying, name), size))
}

// makeDisk makes the VM's work disk.
func (l *liar) makeDisk() {
	l.t.Helper()
	path := filepath.Join(l.h.Paths.VM(l.vm.ID), "work.img")
	run := func(program string, args ...string) {
		if out, err := exec.Command("/usr/sbin/"+program, args...).CombinedOutput(); err != nil {
			l.t.Fatalf("cannot make a disk (package e2fsprogs): %v\n%s", err, out)
		}
	}
	run("mkfs.ext4", "-q", "-F", "-t", "ext4", "-d", l.root, path, "64M")
	for _, command := range l.debugfs {
		run("debugfs", "-w", "-R", command, path)
	}
	if l.patch != nil {
		image, err := os.ReadFile(path)
		l.check(err)
		l.patch(image)
		l.check(os.WriteFile(path, image, 0o600))
	}
}

// within fails the test if f takes more memory or time than it may.
func (l *liar) within(what string, f func(ctx context.Context)) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), maxLieTime)
	defer cancel()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f(ctx)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > maxLieBytes {
		l.t.Errorf("%s: %d bytes were allocated", what, n)
	}
	if ctx.Err() != nil {
		l.t.Errorf("%s took more than %v", what, maxLieTime)
	}
}

// log reads at most 1 MiB of a session's log, and its last lines.
func (l *liar) log(x banger.Session) (text string, err error) {
	for _, r := range []banger.LogRequest{{Lines: 200}, {Lines: -1, Limit: 1 << 20}} {
		var got bytes.Buffer
		l.within("logs of "+x.Name, func(ctx context.Context) {
			_, err = l.h.Streams.ReadLogs(ctx, vmName, x.Name, r, func(c banger.LogChunk) error {
				got.Write(c.Data)
				return nil
			})
		})
		if strings.Contains(got.String(), secret) {
			l.t.Errorf("a file of the host was read: %.100q", got.String())
		}
		text = got.String()
	}
	return text, err
}

// restart makes a new daemon find the end of the machine, and waits until that is recorded.
func (l *liar) restart(ctx context.Context) {
	l.t.Helper()
	l.h.Restart()
	for _, x := range []banger.Session{l.honest, l.lying} {
		_, err := l.h.Sessions.WaitSession(ctx, vmName, string(x.ID))
		l.check(err)
	}
}

// judge reads all there is to be read, as a daemon does that is started. What is left
// of the lying session is in its log, or has an error.
func (l *liar) judge(log string) banger.Session {
	l.t.Helper()
	l.makeDisk()
	l.within("what became of the sessions", func(ctx context.Context) { l.restart(ctx) })
	honest, err := l.h.Sessions.GetSession(l.t.Context(), vmName, "honest")
	l.check(err)
	if honest.EndedBy != banger.EndedByExit || honest.ExitCode == nil || *honest.ExitCode != 4 {
		l.t.Errorf("the honest session is %+v", honest.SessionState)
	}
	if text, err := l.log(honest); err != nil || text != "honest\n" {
		l.t.Errorf("the log of the honest session is %.100q, %v", text, err)
	}
	lying, err := l.h.Sessions.GetSession(l.t.Context(), vmName, "lying")
	l.check(err)
	if !lying.Status.Ended() || strings.Contains(fmt.Sprint(lying), secret) {
		l.t.Errorf("the lying session is %+v", lying.SessionState)
	}
	switch text, err := l.log(lying); {
	case log == "" && err == nil:
		l.t.Errorf("the log of the lying session is %.100q", text)
	case log != "" && (err != nil || text != log):
		l.t.Errorf("the log of the lying session is %.100q, %v", text, err)
	}
	return lying
}

// presumed fails the test unless the end of a session is that of its machine, and its
// record says why nothing better is known.
func presumed(t *testing.T, x banger.Session) {
	t.Helper()
	if x.EndedBy != banger.EndedByVMLost || x.ExitCode != nil || !strings.Contains(x.LastError, "cannot read its record") && !strings.Contains(x.LastError, "no record") {
		t.Errorf("the session is %+v", x.SessionState)
	}
}

// strange are things that are no regular files.
func strange(l *liar, name string) map[string]func(path string) error {
	return map[string]func(path string) error{
		"link to a file of the host": func(path string) error { return os.Symlink(l.host, path) },
		"link out of the disk":       func(path string) error { return os.Symlink("../../../../../../../../"+l.host, path) },
		"link to itself":             func(path string) error { return os.Symlink(name, path) },
		"link to another session":    func(path string) error { return os.Symlink("../"+string(l.honest.ID)+"/"+name, path) },
		"pipe":                       func(path string) error { return unix.Mkfifo(path, 0o600) },
		"character device":           func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) },
		"block device":               func(path string) error { return unix.Mknod(path, unix.S_IFBLK|0o600, int(unix.Mkdev(7, 0))) },
		"folder":                     func(path string) error { return os.Mkdir(path, 0o700) },
	}
}

func TestLie_FileThatIsNone(t *testing.T) {
	for name, log := range map[string]string{sessiondir.StateName: "lying\n", sessiondir.StdoutName: "", sessiondir.JournalName: ""} {
		for kind := range strange(&liar{}, name) {
			t.Run(name+" is a "+kind, func(t *testing.T) {
				l := newLiar(t)
				l.replace(name, strange(l, name)[kind])
				if x := l.judge(log); name == sessiondir.StateName {
					presumed(t, x)
				}
			})
		}
	}
}

func TestLie_SessionFolderThatIsNone(t *testing.T) {
	for kind := range strange(&liar{}, "") {
		if kind == "folder" {
			continue
		}
		t.Run("it is a "+kind, func(t *testing.T) {
			l := newLiar(t)
			l.replace("", strange(l, string(l.lying.ID))[kind])
			presumed(t, l.judge(""))
		})
	}
	t.Run("it is a link to the folder of another", func(t *testing.T) {
		l := newLiar(t)
		l.replace("", func(path string) error { return os.Symlink(string(l.honest.ID), path) })
		presumed(t, l.judge(""))
	})
	t.Run("it is a link to a folder of the host", func(t *testing.T) {
		l := newLiar(t)
		l.replace("", func(path string) error { return os.Symlink(filepath.Dir(l.host), path) })
		presumed(t, l.judge(""))
	})
	t.Run("it is the folder in which it lies", func(t *testing.T) {
		l := newLiar(t)
		l.check(os.RemoveAll(l.dir(l.lying)))
		l.debugfs = append(l.debugfs, fmt.Sprintf("link /%s %s", guestconfig.SessionsOnDisk, l.inside(l.lying)))
		presumed(t, l.judge(""))
	})
	t.Run("it is the folder of another", func(t *testing.T) {
		l := newLiar(t)
		l.check(os.RemoveAll(l.dir(l.lying)))
		l.debugfs = append(l.debugfs, fmt.Sprintf("link %s %s", l.inside(l.honest), l.inside(l.lying)))
		if x := l.judge("honest\n"); x.EndedBy != banger.EndedByVMLost || !strings.Contains(x.LastError, string(l.honest.ID)) {
			t.Errorf("the session is %+v", x.SessionState)
		}
	})
}

func TestLie_State(t *testing.T) {
	long := strings.Repeat("x", 900<<10)
	for name, state := range map[string]string{
		"nothing":            "",
		"half of it":         `{"id":"ID","status":"ru`,
		"a list":             "[[[[]]]]",
		"deep":               strings.Repeat("[", 500_000),
		"other types":        `{"id":"ID","status":"exited","exit_code":"none"}`,
		"no status":          `{"id":"ID","status":"dead"}`,
		"no id":              `{"id":"../../etc","status":"exited"}`,
		"a negative count":   `{"id":"ID","status":"exited","stdout_bytes":-1}`,
		"a huge count":       `{"id":"ID","status":"exited","stdout_bytes":1e30}`,
		"a huge exit code":   `{"id":"ID","status":"failed","exit_code":256}`,
		"the last sequence":  `{"id":"ID","status":"exited","sequence":9223372036854775807}`,
		"a year without end": `{"id":"ID","status":"exited","ended_at":"99999-01-01T00:00:00Z"}`,
		"long words":         `{"id":"ID","status":"failed","exit_signal":"` + long + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLiar(t)
			l.write(sessiondir.StateName, []byte(strings.ReplaceAll(state, "ID", string(l.lying.ID))))
			presumed(t, l.judge("lying\n"))
		})
	}
	t.Run("of another session", func(t *testing.T) {
		l := newLiar(t)
		state, err := os.ReadFile(l.dir(l.honest, sessiondir.StateName))
		l.check(err)
		l.write(sessiondir.StateName, state)
		presumed(t, l.judge("lying\n"))
	})
	t.Run("of a TiB", func(t *testing.T) {
		l := newLiar(t)
		l.claim(sessiondir.StateName, 1<<40)
		presumed(t, l.judge("lying\n"))
	})
	t.Run("with long texts", func(t *testing.T) {
		l := newLiar(t)
		l.write(sessiondir.StateName, fmt.Appendf(nil, `{"id":"%s","status":"failed","ended_by":"exit","exit_code":1,"sequence":3,"last_error":"%s"}`, l.lying.ID, long))
		if x := l.judge("lying\n"); x.EndedBy != banger.EndedByExit || len(x.LastError) > 64<<10 {
			t.Errorf("the session has %d bytes of text and is %.200s", len(x.LastError), fmt.Sprint(x.SessionState))
		}
	})
}

// journalBlock is a block of a journal with records, as the package sessiondir has it.
func journalBlock(stdout int64, records ...byte) []byte {
	b := make([]byte, 4096)
	copy(b, "bngj\x01")
	binary.BigEndian.PutUint64(b[16:], uint64(stdout))
	sum := fnv.New32a()
	sum.Write(b[:40])
	binary.BigEndian.PutUint32(b[40:], sum.Sum32())
	copy(b[48:], records)
	return b
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func TestLie_Journal(t *testing.T) {
	farAway := binary.AppendUvarint(nil, math.MaxInt64)
	discard := func(offset []byte) []byte { return append([]byte{5, 0, byte(2 + len(offset)), 0, 1}, offset...) }
	var rising []byte
	for n := range 3000 {
		rising = append(rising, journalBlock(int64(n))...)
	}
	for name, journal := range map[string][]byte{
		"nothing":           nil,
		"garbage":           bytes.Repeat([]byte("bngj\x01"), 10_000),
		"offset far away":   journalBlock(math.MaxInt64),
		"offset below zero": journalBlock(-1),
		"long records":      journalBlock(0, bytes.Repeat([]byte{1, 0, 0xff, 0xff, 0x7f}, 800)...),
		"endless number":    journalBlock(0, bytes.Repeat([]byte{0xff}, 4000)...),
		"no records at all": bytes.Repeat(journalBlock(0), 3000),
		"rising by nothing": rising,
		"falling":           append(journalBlock(1<<40), journalBlock(3)...),
		"discard far away":  journalBlock(0, discard(farAway)...),
		"synced far away":   journalBlock(0, append([]byte{6, 0, 18}, append(farAway, farAway...)...)...),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLiar(t)
			l.write(sessiondir.JournalName, journal)
			if x := l.judge("lying\n"); x.StdoutBytes != 6 {
				t.Errorf("the session is %+v", x.SessionState)
			}
		})
	}
	t.Run("nothing, and the log begins with a hole", func(t *testing.T) {
		l := newLiar(t)
		l.write(sessiondir.JournalName, nil)
		l.replace(sessiondir.StdoutName, func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<20), appendTo(path, "lying\n"))
		})
		if x := l.judge("lying\n"); x.StdoutBytes != 1<<20+6 {
			t.Errorf("the session is %+v", x.SessionState)
		}
	})
	t.Run("all given up", func(t *testing.T) {
		l := newLiar(t)
		l.write(sessiondir.JournalName, journalBlock(0, discard(binary.AppendUvarint(nil, 1<<40))...))
		l.makeDisk()
		l.h.Restart()
		if text, err := l.log(l.lying); err != nil || text != "" {
			t.Errorf("the log is %.100q, %v", text, err)
		}
	})
	t.Run("of 4 TiB", func(t *testing.T) {
		l := newLiar(t)
		l.claim(sessiondir.JournalName, 4<<40-4096)
		l.judge("lying\n")
	})
}

func TestLie_SizeOfALog(t *testing.T) {
	t.Run("2^60 bytes", func(t *testing.T) {
		l := newLiar(t)
		l.claim(sessiondir.StdoutName, 1<<60)
		l.judge("")
	})
	// Most of it is a hole. Who asks for the last lines of it waits until nobody does
	// any more; the first ones are there.
	t.Run("4 TiB", func(t *testing.T) {
		l := newLiar(t)
		l.claim(sessiondir.StdoutName, 4<<40-4096)
		l.makeDisk()
		l.within("what became of the sessions", func(ctx context.Context) { l.restart(ctx) })
		l.within("the beginning of the log", func(ctx context.Context) {
			var got bytes.Buffer
			_, err := l.h.Streams.ReadLogs(ctx, vmName, "lying", banger.LogRequest{Lines: -1, Limit: 1 << 20}, func(c banger.LogChunk) error {
				got.Write(c.Data)
				return nil
			})
			if err != nil || got.Len() != 1<<20 || !bytes.HasPrefix(got.Bytes(), []byte("lying\n")) {
				t.Errorf("%d bytes are read: %.10q, %v", got.Len(), got.Bytes(), err)
			}
		})
		l.within("the end of the log", func(ctx context.Context) {
			soon, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := l.h.Streams.ReadLogs(soon, vmName, "lying", banger.LogRequest{Lines: 200}, func(banger.LogChunk) error { return nil })
			if soon.Err() == nil && err != nil {
				t.Error(err)
			}
		})
		if text, err := l.log(l.honest); err != nil || text != "honest\n" {
			t.Errorf("afterwards the log of the honest session is %q, %v", text, err)
		}
	})
}

func TestLie_Names(t *testing.T) {
	// Names that no kernel makes are written into the image, in place of these.
	names := map[string]string{
		"one-of-them-is-here": "../../../etc/passwd",
		"another-one-is-here": "/etc/passwd\x00\x00\x00\x00\x00\x00\x00x",
		"and-a-third-is-here": "a\x00b/../../../../../",
	}
	l := newLiar(t)
	for name := range names {
		l.check(os.Mkdir(filepath.Join(l.root, guestconfig.SessionsOnDisk, name), 0o700))
	}
	for _, name := range []string{"not an id", "-rf", strings.Repeat("x", 255), "$(reboot)", "\xff\xfe"} {
		l.check(os.Mkdir(filepath.Join(l.root, guestconfig.SessionsOnDisk, name), 0o700))
	}
	l.patch = func(image []byte) {
		for name, other := range names {
			if len(name) != len(other) || bytes.Count(image, []byte(name)) != 1 {
				t.Fatalf("%s cannot be replaced", name)
			}
			copy(image[bytes.Index(image, []byte(name)):], other)
		}
	}
	l.judge("lying\n")
	l.check(l.h.WorkDisks.ReadSessions(t.Context(), l.vm.ID, func(_ context.Context, sessions fs.FS) error {
		entries, err := fs.ReadDir(sessions, ".")
		for _, e := range entries {
			if strings.ContainsAny(e.Name(), "/\x00") || e.Name() == ".." {
				t.Errorf("there is a folder %q", e.Name())
			}
		}
		if len(entries) != 6 { // two sessions, and four that are no ids but names
			t.Errorf("there are %d folders: %v", len(entries), entries)
		}
		return err
	}))
	all, err := l.h.Sessions.ListSessions(t.Context(), banger.SessionFilter{})
	if err != nil || len(all) != 2 {
		t.Errorf("%d sessions are known: %v", len(all), err)
	}
	t.Run("of the session itself", func(t *testing.T) {
		l := newLiar(t)
		l.patch = func(image []byte) {
			at := bytes.Index(image, []byte(l.lying.ID))
			copy(image[at:at+len(l.lying.ID)], strings.Repeat("../", 10))
		}
		presumed(t, l.judge(""))
	})
}
