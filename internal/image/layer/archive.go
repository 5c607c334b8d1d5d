package layer

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"banger"
)

// Limits bounds what is taken of archives.
type Limits struct {
	Entries   int   // of one layer
	NameBytes int64 // of all names and targets of one layer
	TarBytes  int64 // of the archives of all layers that are made at once, uncompressed
	// FreeBytes is what a layer may have whatever its blob has; beyond that it has at most 20
	// times as many bytes. 0: there is no such bound.
	FreeBytes int64
}

// DefaultLimits is what images of today need, several times over.
func DefaultLimits() Limits {
	return Limits{Entries: 2_000_000, NameBytes: 256 << 20, TarBytes: 16 << 30, FreeBytes: freeExpansion}
}

// Expecting returns l for images that may have that many bytes unpacked, however small they
// come; l itself for 0.
func (l Limits) Expecting(bytes int64) Limits {
	if bytes > 0 {
		l.TarBytes, l.FreeBytes = bytes, 0
	}
	return l
}

// A path of an archive: PATH_MAX and NAME_MAX of path_resolution(7).
const (
	maxPathBytes    = 4096
	maxElementBytes = 255
)

// Archive is the uncompressed tar of a layer in a file, and what is where in it. It is safe
// for concurrent use.
type Archive struct {
	// DiffID is the SHA-256 of the archive, as the configuration of its image names it.
	DiffID [sha256.Size]byte
	// Bytes is the archive's size.
	Bytes int64

	file    io.ReaderAt
	entries []entry
}

// entry is one of an archive, in its order.
type entry struct {
	name  string // clean, relative; "." for the root
	typ   byte
	link  string // of a hard link: what it is another name of, as a clean relative path
	begin int64  // of its headers in the archive
}

// File is where an archive is kept; an *os.File that begins empty is one.
type File interface {
	io.Writer
	io.ReaderAt
}

// Spool copies the archive that r yields to a file, and learns what is in it. All of r is
// read; the file stays the caller's, and has to be open as long as the Archive is used.
func Spool(r io.Reader, file File, limits Limits) (*Archive, error) {
	sum := sha256.New()
	in := &counter{r: io.TeeReader(io.LimitReader(r, limits.TarBytes+1), io.MultiWriter(file, sum))}
	a := &Archive{file: file}
	err := a.read(in, limits)
	if err == nil {
		_, err = io.Copy(io.Discard, in) // what follows the end counts for the sum
	}
	if in.n > limits.TarBytes {
		return nil, tooLarge(limits.TarBytes)
	}
	if err != nil {
		return nil, malformed(err)
	}
	a.Bytes = in.n
	sum.Sum(a.DiffID[:0])
	return a, nil
}

// malformed gives a code to what readers of archives say, which have none. Other errors are
// of the host's disk or of where the layer comes from.
func malformed(err error) error {
	_, coded := errors.AsType[*banger.Error](err)
	_, host := errors.AsType[*fs.PathError](err)
	if coded || host || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return banger.Errorf(banger.CodeInvalid, "%w", err)
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

const tarBlock = 512

// read learns the entries.
func (a *Archive) read(in *counter, limits Limits) error {
	archive := tar.NewReader(in)
	var names int64
	for {
		begin := (in.n + tarBlock - 1) / tarBlock * tarBlock
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read layer after %d entries: %w", len(a.entries), err)
		}
		if _, err := io.Copy(io.Discard, archive); err != nil { // so that in.n is where it ends
			return fmt.Errorf("cannot read layer at %q: %w", h.Name, err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		e, err := newEntry(h, begin)
		if err != nil {
			return banger.Errorf(banger.CodeInvalid, "cannot take layer: entry %q: %w", h.Name, err)
		}
		names += int64(len(e.name) + len(e.link))
		if len(a.entries) == limits.Entries || names > limits.NameBytes {
			return banger.Errorf(banger.CodeInvalid, "cannot take layer: it has more than %d entries or %d bytes of names", limits.Entries, limits.NameBytes)
		}
		a.entries = append(a.entries, e)
	}
}

func newEntry(h *tar.Header, begin int64) (e entry, err error) {
	e = entry{typ: h.Typeflag, begin: begin}
	if e.name, err = cleanPath(h.Name); err != nil {
		return e, err
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink, tar.TypeFifo, tar.TypeChar, tar.TypeBlock:
	case tar.TypeGNUSparse:
		e.typ = tar.TypeReg
	case tar.TypeLink:
		if e.link, err = cleanPath(h.Linkname); err != nil {
			return e, fmt.Errorf("its target: %w", err)
		}
	default:
		return e, fmt.Errorf("its type is %q, which is not known", h.Typeflag)
	}
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) >= 1<<32-1 || int64(h.Gid) >= 1<<32-1 {
		return e, fmt.Errorf("its owner is %d:%d, which is not one", h.Uid, h.Gid)
	}
	return e, nil
}

// cleanPath is a path of an archive as one that begins at the root, without a slash at
// either end. One that leads out of the root is refused.
func cleanPath(name string) (string, error) {
	clean := strings.TrimPrefix(path.Clean(strings.TrimLeft(name, "/")), "./")
	switch {
	case name == "":
		return "", errors.New("its name is empty")
	case len(clean) > maxPathBytes:
		return "", fmt.Errorf("its name has more than %d bytes", maxPathBytes)
	case strings.ContainsRune(clean, 0):
		return "", errors.New("its name has a NUL byte")
	case clean == ".." || strings.HasPrefix(clean, "../"):
		return "", errors.New("it leads out of the image")
	case clean == "":
		return ".", nil
	}
	for element := range strings.SplitSeq(clean, "/") {
		if len(element) > maxElementBytes {
			return "", fmt.Errorf("a name in it has more than %d bytes", maxElementBytes)
		}
	}
	return clean, nil
}

// open returns an entry's header, and its content.
func (a *Archive) open(e entry) (*tar.Header, io.Reader, error) {
	r := tar.NewReader(io.NewSectionReader(a.file, e.begin, a.Bytes-e.begin))
	h, err := r.Next()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read layer at %q again: %w", e.name, err)
	}
	return h, r, nil
}
