package transfer

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"banger"
)

var errNotCopied = errors.New("it is a device, a FIFO or a socket, which is not copied")

func byteString(s string) banger.ByteString { return banger.ByteString(s) }

// identity tells one state of one file from all others.
func identity(where string, a Attributes) string {
	return fmt.Sprintf("%s dev %d inode %d size %d mtime %d ctime %d", where, a.Device, a.Inode, a.Size, a.ModTime.UnixNano(), a.Change)
}

// Begins splits off what a path of a request begins with: the home of the user, "~" or nothing, or
// the root.
func (r Request) Begins() (path string, atHome bool) {
	path = string(r.Path)
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || rest[0] == '/') {
		path = strings.TrimLeft(rest, "/")
	}
	return path, !strings.HasPrefix(path, "/")
}

// BaseName is the name by which what a path means goes into a directory; "" if it has none of
// its own: of /, and what ends with . or ..
func BaseName(p string) string {
	name := path.Base(strings.TrimRight(p, "/"))
	if !validName(name) {
		return ""
	}
	return name
}

// wantsDir reports whether a path can only mean a directory.
func wantsDir(p string) bool {
	last := p[strings.LastIndexByte(p, '/')+1:]
	return last == "" || last == "." || last == ".."
}

// meansContents reports whether a path means what is in a directory, as with docker: it ends
// with a dot.
func meansContents(p string) bool {
	last := p[strings.LastIndexByte(p, '/')+1:]
	return last == "." || last == ".."
}
