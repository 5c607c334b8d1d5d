package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"banger"
)

// resumeBytes is how large a file is at least of which the beginning is kept.
const resumeBytes = 8 << 20

// partSuffix ends the name of what is not whole.
const partSuffix = ".banger-part"

// partName is the name beside a target under which it comes.
func partName(name string) string {
	return "." + name[:min(len(name), maxNameBytes-1-len(partSuffix)-len(recordSuffix))] + partSuffix
}

// recordSuffix ends the name of the file that says of what a partial file is the beginning.
const recordSuffix = ".from"

// partial is the file under another name that becomes a target.
type partial struct {
	dir    *osDir
	name   string
	source string // identity of the source; empty if the beginning is not to be kept
	f      *os.File
	have   Have
	prefix *digest // of have
}

// openPartial opens the partial file of a target, and finds out what it has of the source: all
// that was written by a copy of the same file in the same state. Nobody else can have it open
// in this way.
func openPartial(t *target, s Source) (*partial, error) {
	p := &partial{dir: t.parent, name: partName(t.name)}
	if s.Size >= resumeBytes {
		p.source = s.Identity
	}
	if err := p.lock(t); err != nil {
		return nil, err
	}
	if p.source != "" && p.recorded() {
		p.sum()
	}
	if p.have.Bytes == 0 {
		if err := p.restart(); err != nil {
			p.end(false)
			return nil, fatalIfFull(err)
		}
	}
	return p, nil
}

// lock opens the file and takes its lock.
func (p *partial) lock(t *target) error {
	for {
		fd, err := unix.Openat(p.dir.fd(), p.name, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return banger.Errorf(banger.CodeInvalid, "cannot copy to %q: cannot create %q beside it: %w", t.shown, p.name, err)
		}
		p.f = os.NewFile(uintptr(fd), p.name)
		if err := lock(fd); err != nil {
			p.f.Close()
			return banger.Errorf(banger.CodeInUse, "cannot copy to %q: another copy to it is under way", t.shown)
		}
		var st, now unix.Stat_t
		err = unix.Fstat(fd, &st)
		if err == nil {
			err = unix.Fstatat(p.dir.fd(), p.name, &now, unix.AT_SYMLINK_NOFOLLOW)
		}
		switch {
		case err == nil && st.Ino == now.Ino && st.Dev == now.Dev:
			if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 || int(st.Uid) != os.Geteuid() {
				p.f.Close()
				return banger.Errorf(banger.CodeExists, "cannot copy to %q: %q beside it is not what an interrupted copy has left", t.shown, p.name).
					WithHint("remove it, or copy to another name")
			}
			return nil
		case err != nil && !errors.Is(err, unix.ENOENT):
			p.f.Close()
			return err
		}
		p.f.Close() // another copy has just given it its final name
	}
}

// recorded reports whether the record says that the file is the beginning of the source.
func (p *partial) recorded() bool {
	fd, err := unix.Openat(p.dir.fd(), p.name+recordSuffix, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	record := os.NewFile(uintptr(fd), p.name+recordSuffix)
	defer record.Close()
	got, err := io.ReadAll(io.LimitReader(record, int64(len(p.source))+2))
	return err == nil && bytes.Equal(got, []byte(p.source+"\n"))
}

// sum finds how much there is, in whole blocks, and sums it up.
func (p *partial) sum() {
	f := &osFile{p.f}
	a, err := f.Stat()
	if err != nil {
		return
	}
	sum, bytes := newDigest(), a.Size/blockBytes*blockBytes
	err = extents(f, 0, bytes, func(offset int64, b []byte) error {
		sum.write(offset, b)
		return nil
	}, make([]byte, chunkBytes))
	if err == nil {
		p.have, p.prefix = Have{Bytes: bytes, Digest: sum.total()}, sum
	}
}

// restart begins with nothing.
func (p *partial) restart() error {
	p.have, p.prefix = Have{}, nil
	_ = unix.Unlinkat(p.dir.fd(), p.name+recordSuffix, 0)
	if err := p.f.Truncate(0); err != nil {
		return err
	}
	if p.source == "" {
		return nil
	}
	fd, err := unix.Openat(p.dir.fd(), p.name+recordSuffix, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	record := os.NewFile(uintptr(fd), p.name+recordSuffix)
	_, err = fmt.Fprintln(record, p.source)
	return errors.Join(err, record.Close())
}

// begin returns the file, at an offset: 0, or what it has.
func (p *partial) begin(offset int64) (*os.File, string, error) {
	if offset == 0 && p.have.Bytes > 0 {
		if err := p.restart(); err != nil {
			return nil, "", err
		}
	}
	if err := p.f.Truncate(offset); err != nil {
		return nil, "", err
	}
	_, err := p.f.Seek(offset, io.SeekStart)
	return p.f, p.name, err
}

// publish gives the file its final name.
func (p *partial) publish(name string) error {
	if err := unix.Renameat(p.dir.fd(), p.name, p.dir.fd(), name); err != nil {
		return err
	}
	_ = unix.Unlinkat(p.dir.fd(), p.name+recordSuffix, 0)
	p.name = ""
	return nil
}

// end closes the file. Unless it has its final name it is removed, or kept, if a copy can
// continue it: then its name is returned. A nil partial has nothing.
func (p *partial) end(keep bool) (kept string) {
	if p == nil || p.f == nil {
		return ""
	}
	var size int64
	var st unix.Stat_t
	if p.name != "" && unix.Fstatat(p.dir.fd(), p.name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
		size = st.Size
	}
	if keep && p.source != "" && size >= blockBytes {
		kept = p.name
	} else if p.name != "" {
		_ = unix.Unlinkat(p.dir.fd(), p.name, 0)
		_ = unix.Unlinkat(p.dir.fd(), p.name+recordSuffix, 0)
	}
	p.f.Close()
	p.f = nil
	return kept
}
