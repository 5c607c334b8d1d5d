// Package kmod knows the files of a Linux kernel and its modules: where a system has them, how
// modules are compressed, and what depmod(8) writes about them.
package kmod

import (
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// MaxModuleBytes bounds a module, unpacked.
const MaxModuleBytes = 64 << 20

// maxDictionary bounds what an xz stream has its reader keep; that of xz -9 is as large.
const maxDictionary = 64 << 20

// Name returns the name of the module in a file, in the form that the kernel prints.
func Name(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// Unpacked undoes the compression that a module's file name ends with; kmod(8) takes the same
// ones.
func Unpacked(r io.Reader, file string) (io.ReadCloser, error) {
	switch ext := path.Ext(file); ext {
	case ".xz":
		x, err := xz.NewReader(r, maxDictionary)
		return io.NopCloser(x), err
	case ".zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxModuleBytes))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case ".ko":
		return io.NopCloser(r), nil
	default:
		return nil, fmt.Errorf("no module ends in %q", ext)
	}
}
