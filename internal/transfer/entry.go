package transfer

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// Bounds of what an entry says.
const (
	maxNameBytes   = 255  // NAME_MAX
	maxTargetBytes = 4095 // of a symbolic link: PATH_MAX without the NUL
	maxXattrs      = 256
	maxXattrName   = 255       // XATTR_NAME_MAX
	maxXattrBytes  = 128 << 10 // of all names and values of one entry
	maxSize        = 1 << 62   // of a file
)

// Entry is one entry of a directory. The name of the first one is that of the copy, which the
// receiver decides.
type Entry struct {
	Name     string
	Mode     uint32 // the lowest 12 bits of st_mode
	UID, GID uint32
	ModTime  time.Time
	Size     int64  // of a file, holes and all
	Data     int64  // how much of it is no hole, about
	Offset   int64  // of a file: where its bytes begin; only of one that is resumed it is not 0
	Link     uint64 // not 0: the file may have more names, which are sent as hard links with this number
	Target   string // of a symbolic link
	Xattrs   []Xattr
	// Implied says that a directory has no attributes of its own: it only has to be there.
	Implied bool
}

// Xattr is one extended attribute.
type Xattr struct {
	Name  string
	Value []byte
}

// append encodes an entry.
func (e *Entry) append(b []byte) []byte {
	b = appendText(b, e.Name)
	for _, n := range []uint64{
		uint64(e.Mode), uint64(e.UID), uint64(e.GID), uint64(e.ModTime.Unix()), uint64(e.ModTime.Nanosecond()),
		uint64(e.Size), uint64(e.Data), uint64(e.Offset), e.Link,
	} {
		b = binary.AppendUvarint(b, n)
	}
	b = appendText(b, e.Target)
	implied := byte(0)
	if e.Implied {
		implied = 1
	}
	b = append(b, implied)
	b = binary.AppendUvarint(b, uint64(len(e.Xattrs)))
	for _, x := range e.Xattrs {
		b = appendText(appendText(b, x.Name), string(x.Value))
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decoder takes an entry apart. Once something is wrong it returns nothing but zeros.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) number() uint64 {
	n, used := binary.Uvarint(d.rest)
	if used <= 0 {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[used:]
	return n
}

func (d *decoder) bounded(most uint64) uint64 {
	n := d.number()
	if n > most {
		d.bad = true
		return 0
	}
	return n
}

func (d *decoder) text(most uint64) string {
	n := d.bounded(most)
	if n > uint64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

// parseEntry decodes an entry and refuses what no sender of ours sends. The name is checked
// by validName, where it matters.
func parseEntry(payload []byte) (e Entry, err error) {
	d := decoder{rest: payload}
	e.Name = d.text(maxNameBytes)
	e.Mode = uint32(d.bounded(0o7777))
	e.UID, e.GID = uint32(d.bounded(1<<32-1)), uint32(d.bounded(1<<32-1))
	sec, nsec := int64(d.number()), d.bounded(999_999_999)
	e.ModTime = time.Unix(sec, int64(nsec))
	e.Size, e.Data, e.Offset = int64(d.bounded(maxSize)), int64(d.bounded(maxSize)), int64(d.bounded(maxSize))
	e.Link = d.number()
	e.Target = d.text(maxTargetBytes)
	e.Implied = d.bounded(1) == 1
	total := 0
	for range d.bounded(maxXattrs) {
		x := Xattr{Name: d.text(maxXattrName), Value: []byte(d.text(maxXattrBytes))}
		if total += len(x.Name) + len(x.Value); total > maxXattrBytes || d.bad {
			d.bad = true
			break
		}
		e.Xattrs = append(e.Xattrs, x)
	}
	if d.bad || len(d.rest) > 0 || strings.IndexByte(e.Target, 0) >= 0 || e.Offset > e.Size {
		return Entry{}, fmt.Errorf("%w: an entry that cannot be understood", errProtocol)
	}
	return e, nil
}

// validName reports whether a name is one component of a path.
func validName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= maxNameBytes && !strings.ContainsAny(name, "/\x00")
}
