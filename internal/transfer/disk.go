package transfer

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"banger"
)

// diskSink writes what is received below a target, so that nothing has its final name before
// it is whole: a file, and a tree that is new, gets it at its end; what goes into a directory
// that is there already, file by file. It makes or opens each directory itself and follows
// no link.
type diskSink struct {
	target *target
	owners bool
	room   room

	staged  string   // the name of a new tree until its end; empty if there is none
	levels  []*level // the directories that it is in, the first outermost
	links   map[uint64][]string
	linked  int // bytes of their names
	partial *partial
	open    *openFile    // the file that is written
	whole   func() error // gives the copy its final name; nil before all of it is there
	root    *level       // the outermost directory, which has been left; its lock is held to the end
}

// level is a directory that is being filled.
type level struct {
	dir    *osDir
	entry  Entry
	merged bool // it was there already, and keeps its attributes
}

// openFile is a file that is being written.
type openFile struct {
	f     *os.File
	dir   *osDir
	name  string // that it has now
	final string // that it is to have
	entry Entry
	at    int64
}

// maxLinkNames bounds the names of files that may be linked.
const maxLinkNames = 64 << 20

func newDiskSink(t *target, owners, reserve bool) *diskSink {
	return &diskSink{target: t, owners: owners, room: room{reserve: reserve, dir: t.parent.f}, links: map[uint64][]string{}}
}

// here is the directory that it is in.
func (s *diskSink) here() *osDir {
	if len(s.levels) == 0 {
		return s.target.parent
	}
	return s.levels[len(s.levels)-1].dir
}

// careful reports whether what is written here is in sight of others before its end.
func (s *diskSink) careful() bool { return s.staged == "" }

// dir implements sink.
func (s *diskSink) dir(e *Entry) error {
	if err := s.room.entry(); err != nil {
		return err
	}
	l := &level{entry: *e}
	var err error
	switch {
	case len(s.levels) == 0 && s.target.merge && s.target.name == ".":
		l.dir, err = openDirAt(s.target.parent.fd(), ".", 0)
		l.merged = true
	case len(s.levels) == 0 && s.target.merge:
		l.dir, err = openDirAt(s.target.parent.fd(), s.target.name, unix.O_NOFOLLOW)
		l.merged = true
	case len(s.levels) == 0:
		l.dir, err = s.stage()
	default:
		l.dir, l.merged, err = enter(s.here(), e.Name)
	}
	if err != nil {
		return fatalIfFull(err)
	}
	s.levels = append(s.levels, l)
	return nil
}

// enter makes a directory, or opens the one that is there.
func enter(parent *osDir, name string) (dir *osDir, merged bool, err error) {
	if err = unix.Mkdirat(parent.fd(), name, 0o700); errors.Is(err, unix.EEXIST) {
		merged, err = true, nil
	}
	if err != nil {
		return nil, false, err
	}
	dir, err = openDirAt(parent.fd(), name, unix.O_NOFOLLOW)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		err = errors.New("it is not a directory at the target, and the source is")
	}
	return dir, merged, err
}

// stage makes the directory that becomes the target at the end.
func (s *diskSink) stage() (*osDir, error) {
	name := partName(s.target.name)
	parent, err := os.OpenRoot(s.target.parent.procPath())
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	dir, err := lockedDir(s.target.parent, name)
	if errors.Is(err, errStale) {
		// What a copy has left whose process was killed.
		if err = parent.RemoveAll(name); err == nil {
			dir, err = lockedDir(s.target.parent, name)
		}
	}
	if errors.Is(err, errBusy) {
		err = banger.Errorf(banger.CodeInUse, "cannot copy to %q: another copy to it is under way", s.target.shown)
	}
	if err == nil {
		s.staged = name
	}
	return dir, err
}

var (
	errStale = errors.New("a copy has left something")
	errBusy  = errors.New("it is locked")
)

// lockedDir makes a directory and takes its lock. If it is there, the error is errStale, or
// errBusy if somebody has the lock.
func lockedDir(parent *osDir, name string) (*osDir, error) {
	made := unix.Mkdirat(parent.fd(), name, 0o700)
	if made != nil && !errors.Is(made, unix.EEXIST) {
		return nil, made
	}
	dir, err := openDirAt(parent.fd(), name, unix.O_NOFOLLOW)
	if err != nil {
		return nil, errors.Join(errStale, err)
	}
	if err := lock(dir.fd()); err != nil {
		dir.Close()
		return nil, err
	}
	if made != nil {
		dir.Close()
		return nil, errStale
	}
	return dir, nil
}

// lock takes the lock of a file, if the file system has such.
func lock(fd int) error {
	err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errBusy
	}
	return nil
}

// up implements sink.
func (s *diskSink) up() error {
	l := s.levels[len(s.levels)-1]
	s.levels = s.levels[:len(s.levels)-1]
	var err error
	if !l.merged && !l.entry.Implied {
		err = s.setAttributes(l.dir.fd(), &l.entry)
	}
	if len(s.levels) > 0 {
		return errors.Join(err, l.dir.Close())
	}
	s.root = l
	if s.staged != "" {
		s.whole = s.publish
	}
	return err
}

// finish gives a copy its final name that has come to its end.
func (s *diskSink) finish() error {
	if s.whole == nil {
		return nil
	}
	return s.whole()
}

// publish gives a new tree its name.
func (s *diskSink) publish() error {
	at := s.target.parent.fd()
	err := unix.Renameat2(at, s.staged, at, s.target.name, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // a file system without it
		err = unix.Renameat(at, s.staged, at, s.target.name)
	}
	if err != nil {
		return banger.Errorf(banger.CodeExists, "cannot give the copy the name %q: %w", s.target.shown, err)
	}
	s.staged = ""
	return nil
}

// file implements sink.
func (s *diskSink) file(e *Entry) error {
	if err := s.room.file(e); err != nil {
		return err
	}
	o := &openFile{dir: s.here(), entry: *e, final: e.Name, at: e.Offset}
	var err error
	if len(s.levels) == 0 {
		o.final = s.target.name
		o.f, o.name, err = s.partial.begin(e.Offset)
	} else {
		o.f, o.name, err = s.create(o.dir, e.Name)
	}
	if err != nil {
		return fatalIfFull(err)
	}
	s.open = o
	return nil
}

// create makes a file, under another name if it could be seen before its end.
func (s *diskSink) create(dir *osDir, name string) (*os.File, string, error) {
	if s.careful() {
		if a, err := dir.Stat(name); err == nil && (a.Type == Directory || a.Type == Other) {
			return nil, "", errors.New("it is not a regular file at the target")
		}
		name = tempName(name)
	}
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(dir.fd(), name, flags, 0o600)
	if errors.Is(err, unix.EEXIST) && unix.Unlinkat(dir.fd(), name, 0) == nil { // a tar may have a file twice
		fd, err = unix.Openat(dir.fd(), name, flags, 0o600)
	}
	if err != nil {
		return nil, "", err
	}
	return os.NewFile(uintptr(fd), name), name, nil
}

// tempName is a name for what gets another one soon.
func tempName(name string) string {
	return "." + name[:min(len(name), maxNameBytes-40)] + ".banger-" + rand.Text()
}

// bytes implements sink.
func (s *diskSink) bytes(p []byte) error {
	if err := s.room.bytes(int64(len(p))); err != nil {
		return err
	}
	n, err := s.open.f.Write(p)
	s.open.at += int64(n)
	return fatalIfFull(err)
}

// hole implements sink. The file always ends where the next bytes go, so that what an
// interrupted copy leaves says how far it was.
func (s *diskSink) hole(n int64) error {
	s.open.at += n
	err := s.open.f.Truncate(s.open.at)
	if err == nil {
		_, err = s.open.f.Seek(s.open.at, io.SeekStart)
	}
	return fatalIfFull(err)
}

// keepFile implements sink.
func (s *diskSink) keepFile() error {
	o := s.open
	s.open = nil
	err := s.setAttributes(int(o.f.Fd()), &o.entry)
	if len(s.levels) == 0 {
		s.whole = func() error { return s.partial.publish(o.final) }
		return err
	}
	if o.name != o.final {
		if e := unix.Renameat(o.dir.fd(), o.name, o.dir.fd(), o.final); e != nil {
			_ = unix.Unlinkat(o.dir.fd(), o.name, 0)
			return errors.Join(e, o.f.Close())
		}
	}
	if o.entry.Link != 0 {
		s.remember(o.entry.Link, o.final)
	}
	if e := o.f.Close(); e != nil { // where a file system of a network says that it is full
		return fatalIfFull(e)
	}
	return err
}

// dropFile implements sink.
func (s *diskSink) dropFile() {
	o := s.open
	s.open = nil
	o.f.Close()
	if len(s.levels) > 0 {
		_ = unix.Unlinkat(o.dir.fd(), o.name, 0)
	}
}

// remember notes where a file is that may get more names.
func (s *diskSink) remember(link uint64, name string) {
	if len(s.links) >= maxLinked || s.linked > maxLinkNames {
		return
	}
	var names []string
	for _, l := range s.levels[1:] {
		names = append(names, l.entry.Name)
		s.linked += 16 // of a string that is shared
	}
	s.links[link] = append(names, name)
	s.linked += len(name) + 64
}

// symlink implements sink.
func (s *diskSink) symlink(e *Entry) error {
	if err := s.room.entry(); err != nil {
		return err
	}
	return s.place(e, func(dir *osDir, name string) error {
		if err := unix.Symlinkat(e.Target, dir.fd(), name); err != nil {
			return err
		}
		if s.owners {
			if err := unix.Fchownat(dir.fd(), name, int(e.UID), int(e.GID), unix.AT_SYMLINK_NOFOLLOW); err != nil {
				return fmt.Errorf("cannot set the owner: %w", err)
			}
		}
		return unix.UtimesNanoAt(dir.fd(), name, times(e), unix.AT_SYMLINK_NOFOLLOW)
	})
}

// hardlink implements sink.
func (s *diskSink) hardlink(e *Entry) error {
	names, ok := s.links[e.Link]
	if !ok {
		return errors.New("the file of which it is another name was not copied")
	}
	return s.place(e, func(dir *osDir, name string) error {
		from := s.levels[0].dir
		for i, component := range names[:len(names)-1] {
			next, err := openDirAt(from.fd(), component, unix.O_NOFOLLOW)
			if i > 0 {
				from.Close()
			}
			if err != nil {
				return err
			}
			from = next
		}
		err := unix.Linkat(from.fd(), names[len(names)-1], dir.fd(), name, 0)
		if from != s.levels[0].dir {
			from.Close()
		}
		return err
	})
}

// place makes what has no content, under a name that it gets at once or by a rename.
func (s *diskSink) place(e *Entry, make func(dir *osDir, name string) error) error {
	dir, final := s.here(), e.Name
	if len(s.levels) == 0 {
		final = s.target.name
	}
	if !s.careful() {
		return fatalIfFull(make(dir, final))
	}
	if a, err := dir.Stat(final); err == nil && (a.Type == Directory || a.Type == Other) {
		return errors.New("it is not a regular file at the target")
	}
	temp := tempName(final)
	err := make(dir, temp)
	if err == nil {
		err = unix.Renameat(dir.fd(), temp, dir.fd(), final)
	}
	_ = unix.Unlinkat(dir.fd(), temp, 0) // which is still there after an error, and if both were one file: rename(2)
	return fatalIfFull(err)
}

// abort removes what is not whole. keep keeps the beginning of a file, for a copy that
// continues there, and returns its name.
func (s *diskSink) abort(keep bool) (kept string) {
	if s.open != nil {
		s.dropFile()
	}
	for _, l := range s.levels {
		l.dir.Close()
	}
	if s.root != nil {
		defer s.root.dir.Close()
	}
	if s.staged != "" {
		if parent, err := os.OpenRoot(s.target.parent.procPath()); err == nil {
			_ = parent.RemoveAll(s.staged)
			parent.Close()
		}
	}
	return s.partial.end(keep)
}
