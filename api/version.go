package api

import (
	"regexp"

	"banger"
)

// release is a version that a release has: v1.2.3 and nothing more.
var release = regexp.MustCompile(`^v(\d+)\.(\d+)\.\d+$`)

// CheckVersions returns CodeMismatch unless a client and a daemon of these builds
// understand each other: releases of one major version, of one minor version
// while the major one is 0. Any other build speaks only with itself. A client
// that tells no version is trusted to know what it does.
func CheckVersions(client, daemon string) error {
	if client == "" || client == daemon {
		return nil
	}
	c, d := release.FindStringSubmatch(client), release.FindStringSubmatch(daemon)
	if c != nil && d != nil && c[1] == d[1] && (c[1] != "0" || c[2] == d[2]) {
		return nil
	}
	return banger.Errorf(banger.CodeMismatch, "cannot work together: the daemon is banger %s and this is banger %s", daemon, client).
		WithHint("run `banger daemon stop` and repeat the command; VMs and sessions keep running")
}
