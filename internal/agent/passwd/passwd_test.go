package passwd_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"banger/internal/agent/passwd"
)

const passwdFile = `root:x:0:0:root:/root:/bin/bash
# a comment:x:9:9::/:/bin/sh
broken
builder:x:1000:1000:,,,:/home/builder:
odd:x:notanumber:1::/:/bin/sh
`

const groupFile = `root:x:0:
builder:x:1000:builder
kvm:x:105:other,builder
disk:x:6:builders
`

func database(t *testing.T, files map[string]string) passwd.DB {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return passwd.At(dir)
}

func TestLookup_ReturnsShellHomeAndGroups(t *testing.T) {
	db := database(t, map[string]string{"passwd": passwdFile, "group": groupFile})
	u, err := db.Lookup("builder")
	if err != nil {
		t.Fatal(err)
	}
	if u.UID != 1000 || u.GID != 1000 || u.Home != "/home/builder" || u.Shell != "/bin/sh" {
		t.Errorf("got %+v", u)
	}
	if !slices.Equal(u.Groups, []uint32{105}) {
		t.Errorf("groups are %v, want kvm only: a name that is a prefix is another user", u.Groups)
	}
}

func TestLookup_UnknownOrUnreadableEntriesAreUnknownUsers(t *testing.T) {
	db := database(t, map[string]string{"passwd": passwdFile, "group": groupFile})
	for _, name := range []string{"", "nobody", "broken", "odd", "# a comment", "root:x"} {
		if _, err := db.Lookup(name); !errors.Is(err, passwd.ErrUnknown) {
			t.Errorf("Lookup(%q) = %v, want ErrUnknown", name, err)
		}
	}
}

func TestLookup_WorksWithoutGroupFile(t *testing.T) {
	db := database(t, map[string]string{"passwd": passwdFile})
	if _, err := db.Lookup("root"); err != nil {
		t.Fatal(err)
	}
}

func TestLookup_MissingDatabaseIsNotAnUnknownUser(t *testing.T) {
	_, err := database(t, nil).Lookup("somebody")
	if err == nil || errors.Is(err, passwd.ErrUnknown) {
		t.Fatalf("err = %v, want one that says that the file is missing", err)
	}
}

func TestCurrent_IsTheFirstEntryWithItsUser(t *testing.T) {
	uid := os.Geteuid()
	db := database(t, map[string]string{
		"passwd": fmt.Sprintf("other:x:%d7:1::/o:/o\nme:x:%d:0:,,,:/home/me:/bin/me\nalias:x:%d:0::/a:/a\n", uid, uid, uid),
		"group":  "g:x:77:me\n",
	})
	u, err := db.Current()
	if err != nil || u.Name != "me" || u.UID != uint32(uid) || u.Home != "/home/me" || u.Shell != "/bin/me" || !slices.Equal(u.Groups, []uint32{77}) {
		t.Errorf("got %+v, %v", u, err)
	}
}

// On a remote host the user may be known to another name service only.
func TestCurrent_IsTakenFromTheEnvironmentIfNotInTheDatabase(t *testing.T) {
	uid := fmt.Sprint(os.Geteuid())
	for name, db := range map[string]passwd.DB{
		"another's": database(t, map[string]string{"passwd": "other:x:4294967294:1::/o:/o\n"}),
		"none":      database(t, nil),
	} {
		t.Setenv("USER", "ldap-user")
		t.Setenv("HOME", "/net/home")
		t.Setenv("SHELL", "/bin/zsh")
		u, err := db.Current()
		if err != nil || u.Name != "ldap-user" || u.Home != "/net/home" || u.Shell != "/bin/zsh" || fmt.Sprint(u.UID) != uid {
			t.Errorf("%s: got %+v, %v", name, u, err)
		}
		for _, key := range []string{"USER", "HOME", "SHELL"} {
			t.Setenv(key, "")
		}
		u, err = db.Current()
		if err != nil || u.Name != uid || u.Home != "/" || u.Shell != "/bin/sh" {
			t.Errorf("%s, without an environment: got %+v, %v", name, u, err)
		}
	}
}

func TestLookup_RootIsThereWhateverTheDatabaseIs(t *testing.T) {
	want := passwd.User{Name: "root", Home: "/root", Shell: "/bin/sh"}
	empty := t.TempDir()
	if err := os.WriteFile(filepath.Join(empty, "passwd"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"no database": t.TempDir(), "no entry": empty} {
		if got, err := passwd.At(dir).Lookup("root"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if _, err := passwd.At(dir).Lookup("nobody"); err == nil {
			t.Errorf("%s: somebody else is there, too", name)
		}
	}
}

// The cases and what podman 4.3 makes of them.
func TestResolve_UserAndGroupByNameOrNumber(t *testing.T) {
	with := database(t, map[string]string{"passwd": passwdFile, "group": groupFile})
	without := database(t, nil)
	for _, c := range []struct {
		db     passwd.DB
		spec   string
		uid    uint32
		gid    uint32
		groups []uint32
		home   string
	}{
		{with, "builder", 1000, 1000, []uint32{105}, "/home/builder"},
		{with, "1000", 1000, 1000, []uint32{105}, "/home/builder"},
		{with, "builder:disk", 1000, 6, nil, "/home/builder"},
		{with, "1000:4242", 1000, 4242, nil, "/home/builder"},
		{with, "65532", 65532, 0, nil, "/"},
		{with, "65532:65532", 65532, 65532, nil, "/"},
		{with, "0", 0, 0, nil, "/root"},
		{without, "0:0", 0, 0, nil, "/root"},
		{without, "root", 0, 0, nil, "/root"},
		{without, "65532:65532", 65532, 65532, nil, "/"},
	} {
		u, err := c.db.Resolve(c.spec)
		if err != nil || u.UID != c.uid || u.GID != c.gid || !slices.Equal(u.Groups, c.groups) || u.Home != c.home || u.Shell == "" || u.Name == "" {
			t.Errorf("%s is %+v, %v; want %+v", c.spec, u, err, c)
		}
	}
	for _, spec := range []string{"", "nobody", "nobody:builder", "builder:nogroup", "builder:", "-1", "4294967295", "4294967296", "0x10", "1000:-1"} {
		if u, err := with.Resolve(spec); !errors.Is(err, passwd.ErrUnknown) {
			t.Errorf("%q is %+v, %v", spec, u, err)
		}
	}
}
