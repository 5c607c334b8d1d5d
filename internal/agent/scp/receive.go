package scp

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// entry is what the client says of a file or directory before it sends that.
type entry struct {
	directory bool
	mode      fs.FileMode
	size      int64
	name      string
	times     *times
}

type times struct{ modified, accessed time.Time }

// receive is the sink: what comes goes to target, or into it if that is a directory.
func (e *end) receive(target string) error {
	info, err := os.Stat(target)
	into := err == nil && info.IsDir()
	if e.toDirectory && !into {
		if err == nil {
			err = errors.New("not a directory")
		}
		return e.warn(fmt.Errorf("%s: %w", target, err))
	}
	return e.receiveInto(target, into)
}

// receiveInto handles the lines of one directory, to its end or that of the copy.
func (e *end) receiveInto(target string, into bool) error {
	if err := e.acknowledge(); err != nil {
		return err
	}
	var stamps *times
	for {
		code, err := e.in.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		text, err := e.line()
		if err != nil {
			return err
		}
		switch code {
		case replyWarning, replyFatal:
			e.failed = true
			fmt.Fprintln(e.errs, text)
			if code == replyFatal {
				return errors.New("the other end has given up")
			}
			continue
		case 'E':
			return e.acknowledge()
		case 'T':
			if stamps, err = parseTimes(text); err == nil {
				err = e.acknowledge()
			}
		case 'C', 'D':
			err = e.receiveEntry(code == 'D', text, target, into, stamps)
			stamps = nil
		default:
			err = fmt.Errorf("cannot copy: the other end sends %q", code)
		}
		if err != nil {
			return err
		}
	}
}

func (e *end) receiveEntry(directory bool, text, target string, into bool, stamps *times) error {
	x, err := parseEntry(text)
	if err != nil {
		return err
	}
	x.directory, x.times = directory, stamps
	path := target
	if into {
		path = filepath.Join(target, x.name)
	}
	if directory {
		return e.receiveDirectory(path, x)
	}
	return e.receiveFile(path, x)
}

func (e *end) receiveDirectory(path string, x entry) error {
	if !e.recursive {
		return errors.New("cannot copy: a directory comes without -r")
	}
	info, err := os.Stat(path)
	made := errors.Is(err, fs.ErrNotExist)
	switch {
	case made:
		err = os.Mkdir(path, x.mode|0o700) // so that it can be filled
	case err == nil && !info.IsDir():
		err = fmt.Errorf("%s: not a directory", path)
	}
	if err != nil {
		return e.warn(err)
	}
	if err := e.receiveInto(path, true); err != nil {
		return err
	}
	return e.complain(e.finish(path, x, made && x.mode&0o700 != 0o700))
}

func (e *end) receiveFile(path string, x entry) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, x.mode|0o200)
	if err != nil {
		return e.warn(err)
	}
	defer f.Close()
	if err := e.acknowledge(); err != nil {
		return err
	}
	// What cannot be written is read all the same: the protocol has no other way to the
	// next file.
	written, failure := io.CopyN(f, e.in, x.size)
	if failure != nil {
		if _, err := io.CopyN(io.Discard, e.in, x.size-written); err != nil {
			return err
		}
	}
	if info, err := f.Stat(); failure == nil && err == nil && info.Mode().IsRegular() {
		failure = f.Truncate(x.size)
	}
	if err := f.Close(); failure == nil {
		failure = err
	}
	if err := e.reply(); err != nil && !errors.Is(err, errRefused) {
		return err
	}
	if failure == nil {
		failure = e.finish(path, x, false)
	}
	if failure != nil {
		return e.warn(failure)
	}
	return e.acknowledge()
}

// finish gives what was copied its mode and times.
func (e *end) finish(path string, x entry, mode bool) (err error) {
	if mode || e.preserve {
		err = os.Chmod(path, x.mode)
	}
	if x.times != nil {
		err = errors.Join(err, os.Chtimes(path, x.times.accessed, x.times.modified))
	}
	return err
}

// complain warns of an error, if there is one, where the client expects no answer.
func (e *end) complain(err error) error {
	if err != nil {
		e.failed = true
		fmt.Fprintf(e.errs, "scp: %v\n", err)
	}
	return nil
}

// parseEntry reads what follows C or D: the mode in four octal digits, the size, and the name,
// which must not lead out of the target.
func parseEntry(text string) (entry, error) {
	mode, rest, _ := strings.Cut(text, " ")
	size, name, named := strings.Cut(rest, " ")
	bits, modeErr := strconv.ParseUint(mode, 8, 12)
	bytes, sizeErr := strconv.ParseInt(size, 10, 64)
	if modeErr != nil || sizeErr != nil || bytes < 0 || !named {
		return entry{}, fmt.Errorf("cannot copy: the other end sends %.100q", text)
	}
	if name == "" || name == "." || name == ".." || strings.ContainsRune(name, '/') {
		return entry{}, fmt.Errorf("cannot copy: %.100q is not a name", name)
	}
	return entry{mode: unixMode(bits), size: bytes, name: name}, nil
}

// unixMode turns the bits of chmod(2) into a mode.
func unixMode(bits uint64) fs.FileMode {
	mode := fs.FileMode(bits & 0o777)
	for bit, flag := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if bits&bit != 0 {
			mode |= flag
		}
	}
	return mode
}

// parseTimes reads what follows T: seconds and microseconds of both times.
func parseTimes(text string) (*times, error) {
	var m, mu, a, au int64
	if n, err := fmt.Sscanf(text, "%d %d %d %d", &m, &mu, &a, &au); n != 4 || err != nil {
		return nil, fmt.Errorf("cannot copy: the other end sends the times %.100q", text)
	}
	return &times{time.Unix(m, mu*1000), time.Unix(a, au*1000)}, nil
}
