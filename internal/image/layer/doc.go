// Package layer makes the layers of OCI images into file systems that overlayfs stacks: what
// a layer removes by a name that begins with .wh. becomes a whiteout or an opaque directory,
// whatever its place in the archive, and hard links mean what they meant where they were
// made. See the image-spec's layer.md.
//
// Archives are strangers': whatever they say, nothing of the host is read or written by a
// name in them, and what is kept of them is bounded by Limits.
package layer
