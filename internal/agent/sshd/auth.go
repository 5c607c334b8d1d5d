package sshd

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"

	"golang.org/x/crypto/ssh"

	"banger/internal/agent/passwd"
	"banger/internal/guestconfig"
)

// errNotAuthorized is all that is said of a refused login, whether the key or
// the user is wrong.
var errNotAuthorized = errors.New("not authorized")

// authenticate is the ssh.ServerConfig.PublicKeyCallback. The library then has
// the client prove that it holds the key.
func (s *Server) authenticate(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	offered := key.Marshal()
	for _, known := range s.config.AuthorizedKeys {
		if !bytes.Equal(offered, known.Marshal()) {
			continue
		}
		if _, err := s.user(meta.User()); err != nil {
			return nil, errNotAuthorized
		}
		return &ssh.Permissions{}, nil
	}
	return nil, errNotAuthorized
}

// user returns the user that a login name means.
func (s *Server) user(login string) (passwd.User, error) {
	if s.config.Only != nil {
		return passwd.User{Name: login, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}, nil
	}
	user, err := s.config.Users.Lookup(login)
	if login == guestconfig.ImageUser && err != nil {
		return s.config.Users.Resolve(cmp.Or(s.config.ImageUser, "root"))
	}
	return user, err
}

// ParseAuthorizedKeys parses lines of an authorized_keys file, sshd(8). A line
// with options is refused: to ignore one would grant more than was meant.
func ParseAuthorizedKeys(lines []string) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for i, line := range lines {
		key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return nil, fmt.Errorf("cannot parse authorized key %d: %w", i+1, err)
		}
		if len(options) > 0 {
			return nil, fmt.Errorf("cannot use authorized key %d: option %q is not supported", i+1, options[0])
		}
		keys = append(keys, key)
	}
	return keys, nil
}
