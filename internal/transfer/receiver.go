package transfer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"strings"
)

// sink takes what a receiver has checked. An error of an entry leaves that out, with all that
// is in it; a fatalError ends the copy.
type sink interface {
	dir(e *Entry) error
	up() error
	file(e *Entry) error
	bytes(p []byte) error
	hole(n int64) error
	// keepFile is called when all bytes of a file have come and are right, dropFile when not.
	keepFile() error
	dropFile()
	symlink(e *Entry) error
	hardlink(e *Entry) error
}

// receiver reads the stream of a tree and checks that it is one.
type receiver struct {
	ctx      context.Context
	in       *frames
	sink     sink
	form     Form // of the source, as it was announced
	have     Have // of the source
	prefix   *digest
	sum      *digest // of the file that comes; nil before the first one
	progress *Progress
	result   *Result

	path    []string // of the directory that it is in, without the first
	begun   bool     // the first entry has come
	depth   int
	skipped int // how many of the directories that it is in were left out
	entries int64
	resumed int64 // bytes that were there already
}

// receive reads a tree to its end, which a sender must have confirmed.
func (r *receiver) receive() error {
	for {
		if err := context.Cause(r.ctx); err != nil {
			return err
		}
		k, payload, err := r.in.read()
		if err != nil {
			return err
		}
		if k == frameEnd {
			return r.end(payload)
		}
		if err := r.take(k, payload); err != nil {
			return err
		}
	}
}

func (r *receiver) end(payload []byte) error {
	var end End
	if err := parse(payload, &end); err != nil {
		return err
	}
	if end.Error != "" {
		return errors.New(clip(end.Error))
	}
	if !r.begun || r.depth != 0 || end.Entries != r.entries {
		return fmt.Errorf("%w: %d entries of %d have come", errProtocol, r.entries, end.Entries)
	}
	return nil
}

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxMessageBytes)], "\uFFFD") }

// take takes one frame, and of a file all of its frames.
func (r *receiver) take(k kind, payload []byte) error {
	if r.begun && r.depth == 0 {
		return fmt.Errorf("%w: there is something behind the last directory", errProtocol)
	}
	switch k {
	case frameUp:
		return r.up()
	case frameProblem:
		return r.problemOf(payload)
	case frameDir, frameFile, frameSymlink, frameHardlink:
	default:
		return fmt.Errorf("%w: a frame %q among entries", errProtocol, byte(k))
	}
	e, err := parseEntry(payload)
	if err != nil {
		return err
	}
	if !r.begun && (e.Name != "" || formOf(k) != r.form) || r.begun && !validName(e.Name) {
		return fmt.Errorf("%w: %.300q cannot be the name of a %s here", errProtocol, e.Name, formOf(k))
	}
	r.begun = true
	r.entries++
	if k == frameFile {
		return r.file(&e)
	}
	err = nil
	if r.skipped == 0 {
		switch k {
		case frameDir:
			err = r.sink.dir(&e)
		case frameSymlink:
			err = r.sink.symlink(&e)
		case frameHardlink:
			err = r.sink.hardlink(&e)
		}
	}
	if k == frameDir {
		if r.depth++; r.depth > maxDepth+1 {
			return fmt.Errorf("%w: more than %d directories in each other", errProtocol, maxDepth)
		}
		if r.skipped > 0 || err != nil {
			r.skipped++
		}
		if r.depth > 1 {
			r.path = append(r.path, e.Name)
		}
		return r.note("", err)
	}
	return r.note(e.Name, err)
}

// formOf is what kind of source a frame begins.
func formOf(k kind) Form {
	switch k {
	case frameDir:
		return FormDir
	case frameSymlink:
		return FormLink
	case frameFile:
		return FormFile
	}
	return ""
}

// note makes an error of an entry a problem of the copy; of the directory that it is in the
// name is empty. Of the first entry there are no problems: without it there is no copy.
func (r *receiver) note(name string, err error) error {
	if err == nil {
		return nil
	}
	if fatal, ok := errors.AsType[fatalError](err); ok {
		return fatal.error
	}
	if r.depth == 0 || r.depth == 1 && name == "" {
		return err
	}
	r.result.add(path.Join(append(r.path[:len(r.path):len(r.path)], name)...), errorText(err))
	return nil
}

func (r *receiver) problemOf(payload []byte) error {
	var p Problem
	if err := parse(payload, &p); err != nil {
		return err
	}
	if r.depth == 0 || p.Path != "" && !validName(string(p.Path)) {
		return fmt.Errorf("%w: a problem of %.300q", errProtocol, string(p.Path))
	}
	r.result.add(path.Join(append(r.path[:len(r.path):len(r.path)], string(p.Path))...), clip(p.Message))
	return nil
}

func (r *receiver) up() error {
	if r.depth == 0 {
		return fmt.Errorf("%w: it leaves the copy", errProtocol)
	}
	var err error
	if r.skipped > 0 {
		r.skipped--
	} else {
		err = r.sink.up()
	}
	err = r.note("", err)
	r.depth--
	r.path = r.path[:max(len(r.path)-1, 0)]
	return err
}

// file takes a file with its bytes.
func (r *receiver) file(e *Entry) error {
	if r.sum == nil {
		r.sum = newDigest()
	}
	sum := r.sum
	sum.reset()
	switch {
	case e.Offset == 0:
	case r.depth == 0 && e.Offset == r.have.Bytes:
		sum = r.prefix
	default:
		return fmt.Errorf("%w: a file that begins at %d", errProtocol, e.Offset)
	}
	var failed error
	open := r.skipped == 0
	if open {
		failed = r.sink.file(e)
		open = failed == nil
	}
	give := func(do func() error) error {
		if !open {
			return nil
		}
		if failed = do(); failed != nil {
			open = false
			r.sink.dropFile()
		}
		if _, fatal := errors.AsType[fatalError](failed); fatal {
			return failed
		}
		return nil
	}
	if _, fatal := errors.AsType[fatalError](failed); fatal || failed != nil && r.depth == 0 {
		return r.note(e.Name, failed)
	}
	r.resumed += e.Offset
	r.count(1, e.Offset)
	for at := e.Offset; ; {
		if err := context.Cause(r.ctx); err != nil {
			return r.dropped(open, err)
		}
		k, payload, err := r.in.read()
		if err != nil {
			return r.dropped(open, err)
		}
		n := int64(len(payload))
		switch k {
		case frameCheck:
			problem, err := r.checked(payload, e, at, sum)
			if err != nil || problem != nil {
				if open {
					r.sink.dropFile()
				}
				if err != nil {
					return err
				}
				return r.note(e.Name, problem)
			}
			err = give(r.sink.keepFile)
			if err == nil && open {
				r.result.Files++
				r.result.Bytes += e.Size
			}
			return r.note(e.Name, errors.Join(err, failed))
		case frameHole:
			hole, used := binary.Uvarint(payload)
			if n = int64(min(hole, maxSize)); used != len(payload) || n == 0 {
				return r.dropped(open, fmt.Errorf("%w: a hole that is none", errProtocol))
			}
			err = r.within(at, n, e, func() error { return give(func() error { return r.sink.hole(n) }) })
		case frameBytes:
			err = r.within(at, n, e, func() error {
				sum.write(at, payload)
				return give(func() error { return r.sink.bytes(payload) })
			})
		default:
			err = fmt.Errorf("%w: a frame %q in a file", errProtocol, byte(k))
		}
		if err != nil {
			return r.dropped(open, r.note(e.Name, err))
		}
		at += n
		r.count(0, n)
	}
}

// dropped ends a file that has not come to its end.
func (r *receiver) dropped(open bool, err error) error {
	if open {
		r.sink.dropFile()
	}
	return err
}

// within does something with the next bytes of a file, if it can have so many.
func (r *receiver) within(at, n int64, e *Entry, do func() error) error {
	if n > e.Size-at {
		return fatalError{fmt.Errorf("%w: a file of %d bytes has more", errProtocol, e.Size)}
	}
	return do()
}

// checked compares a file with what its sender says of it. A problem is one of the sender's.
func (r *receiver) checked(payload []byte, e *Entry, at int64, sum *digest) (problem, err error) {
	switch {
	case len(payload) < 8:
		return nil, fmt.Errorf("%w: a check of %d bytes", errProtocol, len(payload))
	case len(payload) > 8:
		return errors.New(clip(string(payload[8:]))), nil
	case at != e.Size || binary.BigEndian.Uint64(payload) != sum.total():
		return nil, fmt.Errorf("%w: what has come of %.300q is not what was sent", errProtocol, e.Name)
	}
	return nil, nil
}

func (r *receiver) count(files, bytes int64) {
	if r.progress != nil {
		r.progress.Files.Add(files)
		r.progress.Bytes.Add(bytes)
	}
}
