package transfer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
)

// maxDepth bounds how deep directories are in each other; each that is open takes a
// descriptor on both sides.
const maxDepth = 500

// maxLinked bounds the files with several names that are remembered. The names of further
// ones become files of their own.
const maxLinked = 1 << 19

// Progress is how far a copy is. Safe for concurrent use.
type Progress struct {
	Files, Bytes, Resumed atomic.Int64
	Total                 atomic.Int64 // bytes; 0 if it is not known
}

// sender sends a tree.
type sender struct {
	ctx      context.Context
	out      *frames
	progress *Progress
	buffer   []byte // of chunkBytes
	encoded  []byte // the last entry
	sum      *digest
	entries  int64
	linked   map[linkKey]*linkGroup
	lastLink uint64
}

type linkKey struct{ device, inode uint64 }

// linkGroup are the names of one file.
type linkGroup struct {
	number uint64
	left   uint64 // names that were not sent yet
}

func newSender(ctx context.Context, out *frames, progress *Progress) *sender {
	return &sender{ctx: ctx, out: out, progress: progress, buffer: make([]byte, chunkBytes), sum: newDigest(), linked: map[linkKey]*linkGroup{}}
}

// fatalError is an error that ends the copy, not only that of an entry.
type fatalError struct{ error }

// Unwrap returns the cause.
func (e fatalError) Unwrap() error { return e.error }

// send sends a source, and the end. have is what the receiver has of it.
func (s *sender) send(o *Opened, have Have) error {
	err := s.entry(o.Dir, o.Name, 0, have)
	if fatal, ok := errors.AsType[fatalError](err); ok {
		return fatal.error
	}
	end := End{Entries: s.entries}
	if err != nil {
		end.Error = errorText(err)
	}
	return s.out.say(frameEnd, end)
}

// entry sends an entry of a directory. Of the first one depth is 0.
func (s *sender) entry(dir Dir, name string, depth int, have Have) error {
	if err := context.Cause(s.ctx); err != nil {
		return fatalError{err}
	}
	a, err := dir.Stat(name)
	if err != nil {
		return err
	}
	e := Entry{Name: name, Mode: a.Mode, UID: a.UID, GID: a.GID, ModTime: a.ModTime}
	if depth == 0 {
		e.Name = ""
	}
	switch a.Type {
	case Directory:
		return s.dir(dir, name, e, depth)
	case Symlink:
		e.Target = a.Target
		return s.put(frameSymlink, &e)
	case Regular:
		return s.file(dir, name, e, have)
	}
	return errNotCopied
}

// put sends an entry.
func (s *sender) put(k kind, e *Entry) error {
	s.entries++
	s.encoded = e.append(s.encoded[:0])
	return s.write(k, s.encoded)
}

func (s *sender) write(k kind, payload ...[]byte) error {
	if err := s.out.write(k, payload...); err != nil {
		return fatalError{err}
	}
	return nil
}

// dir sends a directory and all in it.
func (s *sender) dir(parent Dir, name string, e Entry, depth int) error {
	if depth >= maxDepth {
		return fmt.Errorf("it is more than %d directories deep", maxDepth)
	}
	dir, err := parent.OpenDir(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	if e.Xattrs, err = dir.Xattrs(); err != nil {
		return err
	}
	if err := s.put(frameDir, &e); err != nil {
		return err
	}
	for {
		names, err := dir.Next()
		for _, name := range names {
			if err := s.child(dir, name, depth); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return s.write(frameUp)
		}
		if err != nil {
			if err := s.problem("", err); err != nil {
				return err
			}
			return s.write(frameUp)
		}
	}
}

// child sends an entry of a directory. If it cannot be sent, that is a problem of the copy,
// and no end of it; one that has been removed meanwhile is none.
func (s *sender) child(dir Dir, name string, depth int) error {
	err := s.entry(dir, name, depth+1, Have{})
	if _, fatal := errors.AsType[fatalError](err); fatal || err == nil || errors.Is(err, fs.ErrNotExist) {
		if fatal {
			return err
		}
		return nil
	}
	return s.problem(name, err)
}

// problem reports one of an entry of the directory; of that itself the name is empty.
func (s *sender) problem(name string, cause error) error {
	return fatalOrNil(s.out.say(frameProblem, Problem{byteString(name), errorText(cause)}))
}

func fatalOrNil(err error) error {
	if err != nil {
		return fatalError{err}
	}
	return nil
}

// errorText is what an error says, without the name that it is told with.
func errorText(err error) string {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		err = inner.Err
	}
	return err.Error()
}

// file sends a regular file.
func (s *sender) file(dir Dir, name string, e Entry, have Have) error {
	f, err := dir.OpenFile(name)
	if err != nil {
		return err
	}
	defer f.Close()
	a, err := f.Stat()
	if err == nil && a.Type != Regular {
		err = errNotCopied
	}
	if err != nil {
		return err
	}
	e.Mode, e.UID, e.GID, e.ModTime, e.Size, e.Data = a.Mode, a.UID, a.GID, a.ModTime, a.Size, max(a.Data, 0)
	var again bool
	if e.Link, again = s.link(a); again {
		return s.put(frameHardlink, &e)
	}
	if a.Size == 0 {
		if n, _ := f.ReadAt(s.buffer[:1], 0); n > 0 {
			return errNoSize
		}
	}
	if e.Xattrs, err = f.Xattrs(); err != nil {
		return err
	}
	sum := s.sum
	sum.reset()
	if e.Offset, err = s.resume(f, a, have, sum); err != nil {
		return err
	}
	if err := s.put(frameFile, &e); err != nil {
		return err
	}
	if s.progress != nil {
		s.progress.Files.Add(1)
		s.progress.Bytes.Add(e.Offset)
		s.progress.Resumed.Add(e.Offset)
	}
	err = s.content(f, a, e.Offset, sum)
	if _, fatal := errors.AsType[fatalError](err); fatal {
		return err
	}
	if err == nil {
		err = unchanged(f, a)
	}
	if err != nil {
		return s.write(frameCheck, make([]byte, 8), []byte(errorText(err)))
	}
	return s.write(frameCheck, binary.BigEndian.AppendUint64(nil, sum.total()))
}

// link returns the number of a file that has several names, and whether one of them has been
// sent already.
func (s *sender) link(a Attributes) (number uint64, again bool) {
	if a.Links < 2 {
		return 0, false
	}
	key := linkKey{a.Device, a.Inode}
	if g := s.linked[key]; g != nil {
		if g.left--; g.left == 0 {
			delete(s.linked, key)
		}
		return g.number, true
	}
	if len(s.linked) >= maxLinked {
		return 0, false
	}
	s.lastLink++
	s.linked[key] = &linkGroup{s.lastLink, a.Links - 1}
	return s.lastLink, false
}

// errChanged says that nobody knows what was copied.
var errChanged = errors.New("it has changed while it was copied")

// errNoSize is of files such as those in /proc.
var errNoSize = errors.New("its size is not known before it is read; use exec and cat(1)")

func unchanged(f File, before Attributes) error {
	now, err := f.Stat()
	if err == nil && !now.same(before) {
		err = errChanged
	}
	return err
}

// resume returns how much of a file the receiver has, whose bytes have been summed up then;
// 0 if there is any doubt.
func (s *sender) resume(f File, a Attributes, have Have, sum *digest) (int64, error) {
	if have.Bytes <= 0 || have.Bytes > a.Size || have.Bytes%blockBytes != 0 {
		return 0, nil
	}
	err := extents(f, 0, have.Bytes, func(offset int64, p []byte) error {
		sum.write(offset, p)
		return context.Cause(s.ctx)
	}, s.buffer)
	if err != nil {
		return 0, err
	}
	if sum.total() != have.Digest {
		sum.reset()
		return 0, nil
	}
	return have.Bytes, nil
}

// extents calls each with the bytes of a file between two offsets that are no hole.
func extents(f File, from, to int64, each func(int64, []byte) error, buffer []byte) error {
	for at := from; at < to; {
		begin, end, err := f.NextData(at)
		if err != nil {
			return err
		}
		if begin = max(begin, at); begin >= to || begin >= end {
			return nil
		}
		for end = min(end, to); begin < end; {
			// Whole blocks from the beginning of one on, as a digest likes them.
			room := min(int64(len(buffer)), end-begin, int64(len(buffer))-begin%blockBytes)
			n, err := f.ReadAt(buffer[:room], begin)
			if int64(n) < room {
				if err == nil || errors.Is(err, io.EOF) {
					err = errChanged
				}
				return err
			}
			if err := each(begin, buffer[:n]); err != nil {
				return err
			}
			begin += int64(n)
		}
		at = begin
	}
	return nil
}

// content sends the bytes of a file.
func (s *sender) content(f File, a Attributes, from int64, sum *digest) error {
	at := from
	hole := func(to int64) error {
		if to == at {
			return nil
		}
		n := to - at
		at = to
		s.count(n)
		return s.write(frameHole, binary.AppendUvarint(nil, uint64(n)))
	}
	send := func(offset int64, p []byte) error {
		if err := hole(offset); err != nil {
			return err
		}
		if err := context.Cause(s.ctx); err != nil {
			return fatalError{err}
		}
		sum.write(offset, p)
		at += int64(len(p))
		s.count(int64(len(p)))
		return s.write(frameBytes, p)
	}
	var err error
	if a.Data == a.Size { // no hole that is worth a system call
		err = extents(solid{f, a.Size}, from, a.Size, send, s.buffer)
	} else {
		err = extents(f, from, a.Size, send, s.buffer)
	}
	if err != nil {
		return err
	}
	return hole(a.Size)
}

func (s *sender) count(n int64) {
	if s.progress != nil {
		s.progress.Bytes.Add(n)
	}
}

// solid is a file without holes.
type solid struct {
	File
	size int64
}

// NextData implements File.
func (f solid) NextData(offset int64) (begin, end int64, err error) { return offset, f.size, nil }
