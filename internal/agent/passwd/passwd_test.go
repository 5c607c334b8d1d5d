package passwd_test

import (
	"errors"
	"os"
	"path/filepath"
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
	_, err := database(t, nil).Lookup("root")
	if err == nil || errors.Is(err, passwd.ErrUnknown) {
		t.Fatalf("err = %v, want one that says that the file is missing", err)
	}
}
