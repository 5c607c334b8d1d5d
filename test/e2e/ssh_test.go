package e2e

import (
	"bytes"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"banger/test/installation"
)

// sshConfig writes the configuration of ssh for an installation.
func sshConfig(t *testing.T, i *installation.Installation) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(i.MustRun(t, "ssh-config")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The image has neither scp nor an SFTP server. Relative paths begin in the user's home.
func TestVM_IsReachedByItsName(t *testing.T) {
	i := sharedVM(t)
	config := sshConfig(t, i)
	host := vmName + ".banger"
	if got := tool(t, i, "ssh", "-F", config, host, "! command -v scp && id -un && hostname"); got != "root\n"+vmName+"\n" {
		t.Errorf("it says %q", got)
	}
	data := make([]byte, 300<<10)
	_, _ = rand.Read(data)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, protocol := range []string{"-s", "-O"} {
		back := filepath.Join(dir, "back"+protocol)
		tool(t, i, "scp", protocol, "-F", config, file, host+":by-name")
		tool(t, i, "scp", protocol, "-F", config, host+":/root/by-name", back)
		if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, data) {
			t.Errorf("scp %s there and back changed the file: %v", protocol, err)
		}
		tool(t, i, "ssh", "-F", config, host, "rm by-name")
	}
	start(t, i, "by-ssh", "--stdin", "pipe", "--", "sh", "-c", "read x; echo got $x; exit 4")
	cmd := exec.CommandContext(t.Context(), "ssh", "-T", "-F", config, "+by-ssh."+host)
	cmd.Env, cmd.Stdin = i.Env, bytes.NewReader([]byte("it\n"))
	out, err := cmd.Output()
	if string(out) != "got it\n" || cmd.ProcessState.ExitCode() != 4 {
		t.Errorf("a session: %q, %v", out, err)
	}
}

// startBySSH has ssh start a daemon and a VM that are stopped. The streams of ssh end with its
// command, whatever has been started.
func startBySSH(t *testing.T, i *installation.Installation) {
	t.Helper()
	config := sshConfig(t, i)
	i.MustRun(t, "daemon", "stop")
	got := tool(t, i, "ssh", "-F", config, vmName+".banger", "echo started")
	if got != "banger: VM "+vmName+" is stopped; starting it\nstarted\n" {
		t.Errorf("ssh says %q", got)
	}
}
