package transfer

import (
	"archive/tar"
	"errors"
	"io"
	"path"
	"strings"
)

// paxXattr begins the names under which a tar of the form PAX has extended attributes.
const paxXattr = "SCHILY.xattr."

// tarSink writes what is received as a tar archive. Its holes are zeros there.
type tarSink struct {
	w     *tar.Writer
	root  string   // name of the first entry; "." if what is in it is meant
	path  []string // of the directory that it is in
	names map[uint64]string
	lost  error // why there is no archive any more
}

func newTarSink(w io.Writer, root string) *tarSink {
	if root == "" {
		root = "."
	}
	return &tarSink{w: tar.NewWriter(w), root: root, names: map[uint64]string{}}
}

// header begins an entry.
func (s *tarSink) header(e *Entry, h tar.Header) error {
	if s.lost != nil {
		return fatalError{s.lost}
	}
	if h.Name = s.root; len(s.path) > 0 {
		h.Name = path.Join(path.Join(s.path...), e.Name)
	}
	if s.root == "." && len(s.path) > 0 {
		h.Name = "./" + h.Name
	}
	if h.Typeflag == tar.TypeDir {
		h.Name += "/"
	}
	h.Mode, h.Uid, h.Gid, h.ModTime = int64(e.Mode), int(e.UID), int(e.GID), e.ModTime
	h.Format = tar.FormatPAX
	for _, x := range e.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[paxXattr+x.Name] = string(x.Value)
	}
	if err := s.w.WriteHeader(&h); err != nil {
		return fatalError{err}
	}
	return nil
}

// dir implements sink.
func (s *tarSink) dir(e *Entry) error {
	if err := s.header(e, tar.Header{Typeflag: tar.TypeDir}); err != nil {
		return err
	}
	name := e.Name
	if len(s.path) == 0 {
		name = s.root
	}
	s.path = append(s.path, name)
	return nil
}

// up implements sink.
func (s *tarSink) up() error {
	s.path = s.path[:len(s.path)-1]
	return nil
}

// file implements sink.
func (s *tarSink) file(e *Entry) error {
	if err := s.header(e, tar.Header{Typeflag: tar.TypeReg, Size: e.Size}); err != nil {
		return err
	}
	if e.Link != 0 && len(s.names) < maxLinked {
		s.names[e.Link] = path.Join(path.Join(s.path...), e.Name)
	}
	return nil
}

// bytes implements sink.
func (s *tarSink) bytes(p []byte) error {
	_, err := s.w.Write(p)
	return fatalOrNil(err)
}

// hole implements sink.
func (s *tarSink) hole(n int64) error {
	_, err := io.CopyN(s.w, zeros{}, n)
	return fatalOrNil(err)
}

// zeros are as many as somebody reads.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// keepFile implements sink.
func (s *tarSink) keepFile() error { return fatalOrNil(s.w.Flush()) }

// dropFile implements sink: what has been written cannot be taken back.
func (s *tarSink) dropFile() {
	s.lost = errors.New("a file in the middle of the archive could not be copied to its end")
}

// symlink implements sink.
func (s *tarSink) symlink(e *Entry) error {
	return s.header(e, tar.Header{Typeflag: tar.TypeSymlink, Linkname: e.Target})
}

// hardlink implements sink.
func (s *tarSink) hardlink(e *Entry) error {
	name, ok := s.names[e.Link]
	if !ok {
		return errors.New("the file of which it is another name was not copied")
	}
	return s.header(e, tar.Header{Typeflag: tar.TypeLink, Linkname: name})
}

// close ends the archive.
func (s *tarSink) close() error {
	if s.lost != nil {
		return s.lost
	}
	return s.w.Close()
}

// components splits the name of an entry of a tar. A slash at its beginning is none of it.
func components(name string) ([]string, error) {
	var list []string
	for c := range strings.SplitSeq(name, "/") {
		switch {
		case c == "" || c == ".":
		case !validName(c):
			return nil, errors.New("its name leads out of the archive, or is too long")
		default:
			list = append(list, c)
		}
	}
	return list, nil
}
