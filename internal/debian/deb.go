package debian

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"

	"banger"
)

// Fetch writes the file of a package to w and verifies it: what was written may be used only if
// there is no error. advance is called with each number of bytes that have come.
func (a Archives) Fetch(ctx context.Context, p Package, w io.Writer, advance func(bytes int64)) error {
	sum := sha256.New()
	err := a.read(ctx, p.URL, func(body io.Reader) error {
		n, err := io.Copy(io.MultiWriter(w, sum, counter(advance)), io.LimitReader(body, p.Bytes+1))
		if err == nil && n != p.Bytes {
			err = banger.Errorf(banger.CodeCorrupt, "cannot use %s: it has another size than the %d bytes that it should have", p.URL, p.Bytes).
				WithHint("try again; if that does not help, name another mirror with --mirror")
		}
		return err
	})
	if errors.Is(err, errAbsent) {
		return banger.Errorf(banger.CodeUnavailable, "cannot read %s: the mirror does not have what it lists", p.URL).
			WithHint("try again later, or name another mirror with --mirror")
	}
	if err != nil {
		return err
	}
	if is := hex.EncodeToString(sum.Sum(nil)); is != p.SHA256 {
		return badDigest(p.URL, is, p.SHA256)
	}
	return nil
}

// counter calls itself with the length of what is written.
type counter func(bytes int64)

// Write implements io.Writer.
func (c counter) Write(p []byte) (int, error) {
	c(int64(len(p)))
	return len(p), nil
}

// The archive that a package is, deb(5): an ar archive with three members.
const (
	arMagic       = "!<arch>\n"
	arHeaderBytes = 60
	maxDictionary = 128 << 20
)

// Files returns the tar of a package's files, from its own file.
func Files(deb io.Reader) (io.Reader, error) {
	r := bufio.NewReader(deb)
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != arMagic {
		return nil, errors.New("it is not a Debian package")
	}
	for {
		header := make([]byte, arHeaderBytes)
		if _, err := io.ReadFull(r, header); err != nil {
			return nil, fmt.Errorf("it has no files: %w", err)
		}
		name := strings.TrimRight(string(header[:16]), " /")
		size, err := strconv.ParseInt(strings.TrimSpace(string(header[48:58])), 10, 64)
		if err != nil || size < 0 || string(header[58:]) != "`\n" {
			return nil, errors.New("it is not a Debian package")
		}
		if suffix, ok := strings.CutPrefix(name, "data.tar"); ok {
			return decompressed(io.LimitReader(r, size), suffix)
		}
		if _, err := io.CopyN(io.Discard, r, size+size%2); err != nil { // members begin at even places
			return nil, err
		}
	}
}

// decompressed undoes the compression that the name of a member ends with.
func decompressed(r io.Reader, suffix string) (io.Reader, error) {
	switch suffix {
	case "":
		return r, nil
	case ".xz":
		return xz.NewReader(r, maxDictionary)
	case ".gz":
		return gzip.NewReader(r)
	case ".zst":
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxDictionary))
	}
	return nil, fmt.Errorf("its files are compressed in a way that is not known: data.tar%s", suffix)
}
