package sshd_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A command has what the image sets, as a session of the VM does, but the login decides about
// whose home it is.
func TestLogin_HasTheVariablesOfTheImage(t *testing.T) {
	s := newServer(t)
	r := run(t, s.dial(t, "root"), `echo "$GREETING $PATH $HOME"`, nil, nil)
	if want := "hello /usr/local/go/bin:/usr/bin:/bin " + s.home + "\n"; r.stdout != want {
		t.Errorf("got %q, %v; want %q", r.stdout, r.err, want)
	}
}

func TestLogin_ImageUserIsThatOfTheImage(t *testing.T) {
	s := newServer(t)
	if os.Geteuid() != 0 { // only root can become somebody else
		s.setUsers(t, "root:x:"+id()+"::"+s.home+":/bin/sh\nother:x:"+id()+"::"+s.home+":/bin/sh\n")
	}
	if r := run(t, s.dial(t, "image-user"), `echo "$USER"`, nil, nil); r.stdout != "other\n" {
		t.Errorf("got %q, %v", r.stdout, r.err)
	}
	s.setUsers(t, "image-user:x:"+id()+"::"+s.home+":/bin/sh\n")
	if r := run(t, s.dial(t, "image-user"), `echo "$USER"`, nil, nil); r.stdout != "image-user\n" {
		t.Errorf("an account of that name: %q, %v", r.stdout, r.err)
	}
}

// A connection may be kept for long, by a master that serves many commands.
func TestLogin_EachCommandHasTheUserAsTheDatabaseIsThen(t *testing.T) {
	s := newServer(t)
	client := s.dial(t, "root")
	elsewhere := t.TempDir()
	s.setUsers(t, "root:x:"+id()+"::"+elsewhere+":/bin/sh\n")
	if r := run(t, client, `echo "$HOME"`, nil, nil); strings.TrimSpace(r.stdout) != elsewhere {
		t.Errorf("got %q, %v; want %s", r.stdout, r.err, elsewhere)
	}
}

// setUsers replaces the user database.
func (s *testServer) setUsers(t *testing.T, users string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.etc, "passwd"), []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
}

// id is that of this process, and its group's, as the database has them.
func id() string { return strconv.Itoa(os.Geteuid()) + ":" + strconv.Itoa(os.Getegid()) }
