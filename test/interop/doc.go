// Package interop tests banger with programs by others that are too large for make test: each
// does through banger what it does without. Its tests have the build tag interop, need a
// network to install those programs, and run by make interop, which rewrites RESULTS.md.
package interop
