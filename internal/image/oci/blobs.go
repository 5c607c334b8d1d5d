package oci

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/files"
	"banger/internal/keylock"
)

// Blobs keeps blobs in a directory, each under its digest: what has such a name is whole
// and durable. What has come of one that was broken off is kept beside them, and continued
// by whoever wants it next. Safe for concurrent use by one process.
type Blobs struct {
	dir   string
	locks keylock.Locks[v1.Hash] // each is held by whoever fetches the blob
}

const partialSuffix = ".partial"

// NewBlobs returns the blobs of a directory, which is made when it is needed.
func NewBlobs(dir string) *Blobs { return &Blobs{dir: dir} }

// Path returns where a blob lies, if it is there.
func (b *Blobs) Path(digest v1.Hash) (string, bool) {
	path := filepath.Join(b.dir, digest.Hex)
	info, err := os.Stat(path)
	return path, err == nil && info.Mode().IsRegular()
}

// Open fetches a blob, if it is not there, and opens it. The caller closes it, and can read
// it whatever becomes of its name.
func (b *Blobs) Open(ctx context.Context, s Source, d v1.Descriptor, advance func(bytes int64)) (*os.File, error) {
	unlock, err := b.locks.Lock(ctx, d.Digest)
	if err != nil {
		return nil, err
	}
	defer unlock()
	path, err := b.fetch(ctx, s, d, advance)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// Remove removes a blob, and what has come of it.
func (b *Blobs) Remove(ctx context.Context, digest v1.Hash) error {
	if err := checkDigest(digest); err != nil {
		return err
	}
	unlock, err := b.locks.Lock(ctx, digest)
	if err != nil {
		return err
	}
	defer unlock()
	path, _ := b.Path(digest)
	for _, name := range []string{path, path + partialSuffix} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func checkDigest(digest v1.Hash) error {
	if _, err := v1.NewHash(digest.String()); err != nil || digest.Algorithm != "sha256" {
		return banger.Errorf(banger.CodeInvalid, "cannot take image: %q is not a SHA-256", digest)
	}
	return nil
}

// Fetch has a blob in the directory, and returns where. One that is being fetched already
// is waited for. advance, which may be nil, is called with each number of bytes that have
// come; negative if some were in vain.
func (b *Blobs) Fetch(ctx context.Context, s Source, d v1.Descriptor, advance func(bytes int64)) (string, error) {
	unlock, err := b.locks.Lock(ctx, d.Digest)
	if err != nil {
		return "", err
	}
	defer unlock()
	return b.fetch(ctx, s, d, advance)
}

// fetch is Fetch for whoever holds the blob's lock.
func (b *Blobs) fetch(ctx context.Context, s Source, d v1.Descriptor, advance func(bytes int64)) (string, error) {
	if err := checkDigest(d.Digest); err != nil {
		return "", fmt.Errorf("%s: %w", s, err)
	}
	path, ok := b.Path(d.Digest)
	if ok {
		return path, nil
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return "", err
	}
	partial, err := os.OpenFile(path+partialSuffix, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return "", err
	}
	defer partial.Close()
	if advance == nil {
		advance = func(int64) {}
	}
	t := &transfer{source: s, blob: d, file: partial, sum: sha256.New(), advance: advance}
	if err := t.run(ctx); err != nil {
		return "", err
	}
	if err := partial.Sync(); err != nil {
		return "", err
	}
	if err := os.Rename(partial.Name(), path); err != nil {
		return "", err
	}
	return path, files.SyncDir(b.dir)
}

// transfer is a blob on its way.
type transfer struct {
	source  Source
	blob    v1.Descriptor
	file    *os.File
	sum     hash.Hash
	at      int64
	advance func(bytes int64)
}

// maxStalls is how often in a row a source may break off without a byte, or be too slow.
const maxStalls = 3

// run continues what has come until it is whole.
func (t *transfer) run(ctx context.Context) error {
	n, err := io.Copy(t.sum, t.file)
	if err != nil {
		return err
	}
	t.at = n
	t.advance(n)
	for stalls := 0; t.at < t.blob.Size; {
		before := t.at
		err := t.once(ctx)
		if err == nil {
			break
		}
		if t.at > before && !errors.Is(err, errSlow) {
			stalls = 0
			continue
		}
		if stalls++; stalls == maxStalls || ctx.Err() != nil || banger.CodeOf(err) != banger.CodeUnavailable {
			return err
		}
	}
	if got := hex.EncodeToString(t.sum.Sum(nil)); t.at != t.blob.Size || got != t.blob.Digest.Hex {
		t.advance(-t.at)
		return errors.Join(banger.Errorf(banger.CodeCorrupt, "cannot take %s: a blob of %d bytes was to have the digest %s, and has %d bytes and sha256:%s",
			t.source, t.blob.Size, t.blob.Digest, t.at, got), t.file.Truncate(0))
	}
	return nil
}

// once asks the source for what is missing.
func (t *transfer) once(ctx context.Context) error {
	r, err := t.source.Blob(ctx, t.blob, t.at)
	if err != nil {
		return err
	}
	defer r.Close()
	w := io.MultiWriter(t.file, t.sum)
	buf := make([]byte, 128<<10)
	for {
		n, err := r.Read(buf)
		if t.at+int64(n) > t.blob.Size {
			t.at += int64(n)
			return nil // more than there is: run says so
		}
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			t.at += int64(n)
			t.advance(int64(n))
		}
		switch {
		case errors.Is(err, io.EOF) && t.at == t.blob.Size:
			return nil
		case errors.Is(err, io.EOF):
			return brokenOff(t.source, io.ErrUnexpectedEOF)
		case err != nil:
			return brokenOff(t.source, err)
		}
	}
}

func brokenOff(s Source, cause error) error {
	return banger.Errorf(banger.CodeUnavailable, "cannot read %s: it was broken off: %w", s, cause).
		WithHint("try again: what has come is kept")
}
