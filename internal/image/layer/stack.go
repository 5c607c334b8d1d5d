package layer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"banger"
	"banger/internal/ext4fs"
	"banger/internal/files"
	"banger/internal/overlay"
)

// Stacks keeps the file systems of layers in a directory. What a layer is over decides what
// is in its own, so each is called by all that it is stacked on: the ChainID of the
// image-spec. Images that begin with the same layers share them. Safe for concurrent use;
// of two that make the same layer at once the first one's counts.
type Stacks struct {
	Dir string
	// FromTar makes a file system of an archive; ext4.FromTar does.
	FromTar func(archive io.Reader, path string) error
	// Room fails if there is no room for some more bytes; nil: there always is. It is asked
	// before they are written, since archives are small for what may be in them.
	Room func(bytes int64) error
}

const suffix = ".ext4"

// Layer is one of an image that is to be stacked.
type Layer struct {
	DiffID string // "sha256:…", of the archive uncompressed
	// Open returns the archive, compressed or not.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// Add has the file systems of an image's layers made, given the lowest first, within limits,
// and returns their paths in that order. Those that are there are taken as they are. done,
// which may be nil, is called for each.
func (s Stacks) Add(ctx context.Context, layers []Layer, limits Limits, done func(n int, bytes int64)) (paths []string, err error) {
	left := limits
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return nil, err
	}
	var below []fs.StatFS // the uppermost first
	chain := ""
	for n, l := range layers {
		if chain, err = chainID(chain, l.DiffID); err != nil {
			return nil, err
		}
		path := filepath.Join(s.Dir, chain+suffix)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			bytes, err := s.add(ctx, l, left, overlay.New(below...), path)
			if err != nil {
				return nil, fmt.Errorf("layer %d: %w", n+1, err)
			}
			left.TarBytes -= bytes
		} else if err != nil {
			return nil, err
		}
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		fsys, err := ext4fs.Open(f)
		if err != nil {
			return nil, banger.Errorf(banger.CodeCorrupt, "cannot read %s: %w", path, err)
		}
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		if done != nil {
			done(n, info.Size())
		}
		below = append([]fs.StatFS{fsys}, below...)
		paths = append(paths, path)
	}
	return paths, nil
}

// ChainIDs returns what the layers of an image are called by, given the DiffIDs of them, the
// lowest first: the ChainIDs of the image-spec, in hexadecimal digits.
func ChainIDs(diffIDs []string) ([]string, error) {
	ids, chain := make([]string, len(diffIDs)), ""
	for n, id := range diffIDs {
		var err error
		if chain, err = chainID(chain, id); err != nil {
			return nil, err
		}
		ids[n] = chain
	}
	return ids, nil
}

// chainID is the name of a layer over others: the digest of theirs and its own.
func chainID(below, diffID string) (string, error) {
	if len(diffID) != len("sha256:")+2*sha256.Size || diffID[:7] != "sha256:" {
		return "", banger.Errorf(banger.CodeInvalid, "cannot take layer: its DiffID is %q, which is not a SHA-256", diffID)
	}
	if _, err := hex.DecodeString(diffID[7:]); err != nil {
		return "", banger.Errorf(banger.CodeInvalid, "cannot take layer: its DiffID is %q, which is not a SHA-256", diffID)
	}
	if below == "" {
		return diffID[7:], nil
	}
	sum := sha256.Sum256([]byte("sha256:" + below + " " + diffID))
	return hex.EncodeToString(sum[:]), nil
}

// add makes the file system of one layer, and returns how many bytes its archive has. Nothing
// has its name before it is whole.
func (s Stacks) add(ctx context.Context, l Layer, limits Limits, below *overlay.FS, path string) (bytes int64, err error) {
	spool, err := os.CreateTemp(s.Dir, ".spool-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, spool.Close()) }()
	if err := os.Remove(spool.Name()); err != nil { // it ends with this process
		return 0, err
	}
	a, err := l.spool(ctx, &roomyFile{File: spool, room: s.Room}, limits)
	if err != nil {
		return 0, err
	}
	if s.Room != nil { // the file system is about as large
		if err := s.Room(a.Bytes); err != nil {
			return 0, err
		}
	}
	return a.Bytes, s.write(ctx, a, below, path)
}

// write makes the file system of an archive.
func (s Stacks) write(ctx context.Context, a *Archive, below *overlay.FS, path string) (err error) {
	made, err := os.MkdirTemp(s.Dir, ".made-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(made)) }()
	fresh := filepath.Join(made, filepath.Base(path))
	r, w := io.Pipe()
	go func() { w.CloseWithError(Write(ctx, w, a, below)) }()
	err = s.FromTar(r, fresh)
	_ = r.CloseWithError(errEnded) // Write ends, if it has not
	if err != nil {
		return err
	}
	if err := files.Sync(fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return files.SyncDir(s.Dir)
}

// roomPart is how many bytes are written between two looks at the room there is.
const roomPart = 64 << 20

// roomyFile is a file that fails before there is no room for what is written to it.
type roomyFile struct {
	*os.File
	room func(bytes int64) error
	left int64 // for which there is room
}

func (f *roomyFile) Write(p []byte) (int, error) {
	if f.left -= int64(len(p)); f.left < 0 && f.room != nil {
		if err := f.room(roomPart); err != nil {
			return 0, err
		}
		f.left = roomPart
	}
	return f.File.Write(p)
}

var errEnded = errors.New("its reader has ended")

// spool has the archive of a layer in a file, and looks whether it is the one that it is
// called.
func (l Layer) spool(ctx context.Context, file File, limits Limits) (*Archive, error) {
	blob, err := l.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	r, err := limits.Decompress(blob)
	if err != nil {
		return nil, malformed(err)
	}
	defer r.Close()
	a, err := Spool(r, file, limits)
	if err != nil {
		return nil, err
	}
	if got := "sha256:" + hex.EncodeToString(a.DiffID[:]); got != l.DiffID {
		return nil, banger.Errorf(banger.CodeCorrupt, "cannot take layer: it was to have the digest %s, and has %s", l.DiffID, got)
	}
	return a, nil
}
