package layer

import (
	"io"

	"banger"
)

// maxExpansion is how many times as large as its blob an archive may be, beyond the first
// freeExpansion bytes: text shrinks to a tenth, and a file of zeros to a thousandth, of which
// honest layers have some.
const (
	maxExpansion  = 20
	freeExpansion = 1 << 30
)

// Decompress is Decompress for what has no more bytes than l allows. The reader fails with
// CodeInvalid beyond that.
func (l Limits) Decompress(blob io.Reader) (io.ReadCloser, error) {
	counted := &counter{r: blob}
	r, err := Decompress(counted)
	if err != nil {
		return nil, err
	}
	return &boundedReader{r, counted, l, 0}, nil
}

// boundedReader fails when what it yields is too much, or too much for what it came from, as
// an archive that was made to fill a disk.
type boundedReader struct {
	io.ReadCloser
	blob   *counter // what it is decompressed from
	limits Limits
	n      int64
}

func (r *boundedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.n += int64(n)
	if r.n > r.limits.TarBytes {
		return 0, tooLarge(r.limits.TarBytes)
	}
	if free := r.limits.FreeBytes; free > 0 && r.n > free+maxExpansion*r.blob.n {
		return 0, banger.Errorf(banger.CodeInvalid, "cannot take layer: %d bytes of it became %d, as if it were made to fill the disk", r.blob.n, r.n).
			WithHint("if it is what you want, say how large it may be: banger image pull --max-size 4G")
	}
	return n, err
}

// tooLarge is the error for what has more bytes than it may.
func tooLarge(limit int64) error {
	return banger.Errorf(banger.CodeInvalid, "cannot take layer: unpacked, the image has more than %d bytes", limit).
		WithHint("if it is what you want, say how large it may be: banger image pull --max-size %dG", limit>>29+1)
}
