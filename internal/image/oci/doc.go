// Package oci gets images from where they are: a registry, a directory in the OCI image
// layout, an archive of one, or one that docker save or podman save has written. It knows
// the image-spec and the distribution-spec of the Open Container Initiative, and nothing of
// what is in a layer.
//
// What comes from there is a stranger's. Each document is bounded before it is read, each
// blob has the digest by which it was asked for before anything is made of it, and no name
// in it becomes a path of the host.
package oci
