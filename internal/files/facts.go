package files

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path/filepath"
)

// Facts identify a file.
type Facts struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// TreeFacts identify the files of a directory: SHA256 is that of what sha256sum prints for them,
// by path from the directory, sorted.
type TreeFacts struct {
	Files  int    `json:"files"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Measure returns the facts of a file by reading it.
func Measure(path string) (Facts, error) {
	sum, size, err := SHA256(path)
	return Facts{Size: size, SHA256: sum}, err
}

// MeasureTree returns the facts of a directory by reading all of it.
func MeasureTree(dir string) (TreeFacts, error) {
	var t TreeFacts
	list := sha256.New()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error { // in lexical order
		if err != nil || e.IsDir() {
			return err
		}
		f, err := Measure(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		t.Files++
		t.Size += f.Size
		_, err = fmt.Fprintf(list, "%s  %s\n", f.SHA256, name)
		return err
	})
	t.SHA256 = hex.EncodeToString(list.Sum(nil))
	return t, err
}
