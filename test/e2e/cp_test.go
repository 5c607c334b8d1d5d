package e2e

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
)

// A tree and a file of several blocks go into a guest and come back as they were; what -u names
// owns what it writes, and writes only where it may.
func TestCp_IntoAMachineAndBackIsTheSame(t *testing.T) {
	i := sharedVM(t)
	tree := filepath.Join(t.TempDir(), "tree")
	data := make([]byte, 300<<10)
	_, _ = rand.Read(data)
	if err := os.MkdirAll(tree+"/empty", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"program": data, "none": nil} {
		if err := os.WriteFile(filepath.Join(tree, name), content, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("program", tree+"/link"); err != nil {
		t.Fatal(err)
	}
	i.MustRun(t, "cp", tree, vmName+":copied")
	i.MustRun(t, "cp", "-u", "nobody", tree+"/none", vmName+":/tmp/nobodys")
	if got := i.MustRun(t, "exec", vmName, "--", "sh", "-c", "readlink copied/link; stat -c '%a %U' copied/program copied/empty /tmp/nobodys"); got != "program\n750 root\n700 root\n750 nobody\n" {
		t.Errorf("in the guest there are %q", got)
	}
	refused(t, i, 2, []string{"permission denied"}, "cp", "-u", "nobody", tree+"/none", vmName+":/root/x")
	back := filepath.Join(t.TempDir(), "back")
	i.MustRun(t, "cp", vmName+":copied", back)
	if got, err := os.ReadFile(back + "/program"); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the file that came back is another one: %v", err)
	}
	if to, err := os.Readlink(back + "/link"); to != "program" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	i.MustRun(t, "exec", vmName, "--", "rm", "-r", "copied", "/tmp/nobodys")
}
