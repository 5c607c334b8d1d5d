package scp

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// sendAll is the source.
func (e *end) sendAll(paths []string) error {
	if err := e.reply(); err != nil { // the client is ready
		return err
	}
	for _, path := range paths {
		if err := e.send(path); err != nil && !errors.Is(err, errRefused) {
			return err
		}
	}
	return nil
}

// send sends a file or a directory; links are followed, as scp does.
func (e *end) send(path string) error {
	if strings.ContainsRune(path, '\n') {
		return e.warn(fmt.Errorf("%q: the name contains a newline", path))
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return e.warn(err)
	case info.IsDir() && !e.recursive, !info.IsDir() && !info.Mode().IsRegular():
		return e.warn(fmt.Errorf("%s: not a regular file", path))
	case info.IsDir():
		return e.sendDirectory(path, info)
	}
	return e.sendFile(path, info)
}

func (e *end) sendFile(path string, info fs.FileInfo) error {
	f, err := os.Open(path)
	if err != nil {
		return e.warn(err)
	}
	defer f.Close()
	if err := e.announce('C', path, info, info.Size()); err != nil {
		return err
	}
	sent, failure := io.CopyN(e.out, f, info.Size())
	if failure != nil {
		// It was promised: what is missing is sent as zeros, and the client is told.
		if _, err := io.CopyN(e.out, zeros{}, info.Size()-sent); err != nil {
			return err
		}
		if errors.Is(failure, io.EOF) {
			failure = fmt.Errorf("%s: it has become shorter", path)
		}
		err = e.warn(failure)
	} else {
		err = e.acknowledge()
	}
	if err != nil {
		return err
	}
	return e.reply()
}

func (e *end) sendDirectory(path string, info fs.FileInfo) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return e.warn(err)
	}
	if err := e.announce('D', path, info, 0); err != nil {
		return err
	}
	for _, x := range entries {
		if err := e.send(filepath.Join(path, x.Name())); err != nil && !errors.Is(err, errRefused) {
			return err
		}
	}
	if _, err := io.WriteString(e.out, "E\n"); err != nil {
		return err
	}
	return e.reply()
}

// announce says what comes next, and waits until the client wants it.
func (e *end) announce(code byte, path string, info fs.FileInfo, size int64) error {
	if e.preserve {
		modified, accessed := info.ModTime().Unix(), info.Sys().(*syscall.Stat_t).Atim.Sec
		if _, err := fmt.Fprintf(e.out, "T%d 0 %d 0\n", max(modified, 0), max(accessed, 0)); err != nil {
			return err
		}
		if err := e.reply(); err != nil {
			return err
		}
	}
	mode := info.Sys().(*syscall.Stat_t).Mode & 0o7777
	if _, err := fmt.Fprintf(e.out, "%c%04o %d %s\n", code, mode, size, name(path)); err != nil {
		return err
	}
	return e.reply()
}

// name is under what a path is sent. A directory that is only "." or ".." has no name that a
// client would take.
func name(path string) string {
	base := filepath.Base(path)
	if base == "." || base == ".." || base == "/" {
		if abs, err := filepath.Abs(path); err == nil {
			return filepath.Base(abs)
		}
	}
	return base
}

// zeros reads as zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
