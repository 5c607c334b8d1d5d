package ext4

import (
	"io"
	"sync"
)

// What is kept of an image: inodes, directories and small files that belong together lie
// close to each other, and are read a few bytes at a time.
const (
	pageBytes = 4 << 10
	pagesKept = 64
)

// pages is an image that nobody changes, with the pages that were read last. Safe for
// concurrent use if the image is.
type pages struct {
	image io.ReaderAt

	mu   sync.Mutex       // guards kept; it is not held while the image is read
	kept [pagesKept]*page // each at its number, modulo their count
}

// page is never changed.
type page struct {
	number int64
	data   [pageBytes]byte
}

// ReadAt implements io.ReaderAt. What does not lie within one page is not kept, and neither
// is the end of an image that ends within one.
func (p *pages) ReadAt(b []byte, off int64) (int, error) {
	number, from := off/pageBytes, off%pageBytes
	if off < 0 || from+int64(len(b)) > pageBytes {
		return p.image.ReadAt(b, off)
	}
	found := p.find(number)
	if found == nil {
		found = &page{number: number}
		if n, _ := p.image.ReadAt(found.data[:], number*pageBytes); n < pageBytes {
			return p.image.ReadAt(b, off)
		}
		p.keep(found)
	}
	return copy(b, found.data[from:]), nil
}

func (p *pages) find(number int64) *page {
	p.mu.Lock()
	defer p.mu.Unlock()
	if found := p.kept[number%pagesKept]; found != nil && found.number == number {
		return found
	}
	return nil
}

func (p *pages) keep(read *page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[read.number%pagesKept] = read
}
