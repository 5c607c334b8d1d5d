// Package version holds the version of this build.
package version

// version is set by the linker (-X, see the Makefile) and by nothing else.
var version = "dev"

// String returns the version that the build was given, "dev" if none was.
func String() string { return version }
