package files

import (
	"errors"
	"path"
	"strings"
)

// maxLinks is how many symbolic links a path may have: MAXSYMLINKS of path_resolution(7).
const maxLinks = 40

// ErrLinks says that a path has too many symbolic links, as one has that leads in a circle.
var ErrLinks = errors.New("too many links")

// Resolve returns which path of a tree another one means to a process whose root is the tree:
// slash-separated, without links and "..", and "." for the root. leads returns where the symbolic
// link at a path leads, or "" for anything else; last says that nothing but slashes follows. Its
// errors are returned as they are.
func Resolve(name string, leads func(path string, last bool) (target string, err error)) (string, error) {
	at, rest := ".", name
	for links := 0; rest != ""; {
		var element string
		element, rest, _ = strings.Cut(rest, "/")
		switch element {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, element)
		target, err := leads(next, strings.Trim(rest, "/") == "")
		if err != nil {
			return "", err
		}
		if target == "" {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", ErrLinks
		}
		if strings.HasPrefix(target, "/") {
			at = "."
		}
		rest = target + "/" + rest
	}
	return at, nil
}
