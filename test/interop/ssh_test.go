//go:build interop

package interop

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"banger"
	"banger/internal/hosttest"
)

// named is an installation whose VM "v" is reached as v.banger: its machine is this process,
// its guest's SSH server and agent are real, and it sees the same files.
type named struct {
	*hosttest.Host
	t      *testing.T
	config string   // for ssh -F
	env    []string // in which banger means this installation
}

func newNamed(t *testing.T) *named {
	t.Helper()
	agent := filepath.Join(string(bin), "banger-agent")
	h := hosttest.New(t, hosttest.Binaries{Agent: agent, Shim: filepath.Join(string(bin), "banger-shim")})
	n := &named{Host: h, t: t, config: filepath.Join(t.TempDir(), "config"), env: os.Environ()}
	for variable, dir := range map[string]string{"XDG_CONFIG_HOME": h.Paths.Config, "XDG_DATA_HOME": h.Paths.Data, "XDG_STATE_HOME": h.Paths.State} {
		above := t.TempDir()
		if err := os.Symlink(dir, filepath.Join(above, "banger")); err != nil {
			t.Fatal(err)
		}
		n.env = append(n.env, variable+"="+above)
	}
	if _, err := h.VMs.CreateVM(t.Context(), banger.VMRequest{Name: "v"}); err != nil {
		t.Fatal(err)
	}
	text := n.run(".", filepath.Join(string(bin), "banger"), "ssh-config")
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return n
}

// run runs a program to the end of its outputs, and returns them.
func (n *named) run(dir string, argv ...string) string {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, n.env, &out, &errs
	if err := cmd.Run(); err != nil {
		n.t.Fatalf("%q: %v\n%.4000s\n%.4000s", argv, err, &out, &errs)
	}
	return out.String()
}

// Ansible begins with a VM that is stopped. It reads the outputs of its ssh to their end, and
// keeps a connection: it would wait for whatever else kept them open.
func TestInterop_AnsibleReachesAVMByName(t *testing.T) {
	python := pythonPackages(t, "ansible.txt")
	tried(t, "ansible-core", pinned(t, python, "ansible-core"), "`ping` and a playbook of two tasks in `v.banger`, stopped before, over its ssh connection plugin with its own ControlPersist")
	n := newNamed(t)
	dir := sharedDir(t)
	files := filepath.Join(dir, "there")
	for name, text := range map[string]string{
		"ansible.cfg": "[defaults]\nretry_files_enabled = false\ninterpreter_python = /usr/bin/python3\nlocal_tmp = " + dir + "/tmp\nremote_tmp = " + dir + "/remote\n" +
			"[ssh_connection]\nssh_args = -F " + n.config + " -o ControlMaster=auto -o ControlPersist=60s\ncontrol_path_dir = " + dir + "/cp\n",
		"inventory": "v.banger\n",
		"play.yml": "- hosts: all\n  gather_facts: false\n  tasks:\n" +
			"    - copy: {content: hello, dest: " + files + "}\n    - command: cat " + files + "\n      register: said\n      failed_when: said.stdout != 'hello'\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	n.env = append(n.env, "ANSIBLE_HOME="+filepath.Join(dir, "home"))
	defer n.closeMasters(filepath.Join(dir, "cp"))
	if out := n.run(dir, filepath.Join(python, "ansible"), "-i", "inventory", "all", "-m", "ping"); !strings.Contains(out, `"ping": "pong"`) {
		t.Errorf("ping: %s", out)
	}
	if out := n.run(dir, filepath.Join(python, "ansible-playbook"), "-i", "inventory", "play.yml"); !strings.Contains(out, "ok=2") || !strings.Contains(out, "failed=0") {
		t.Errorf("the playbook: %s", out)
	}
}

// closeMasters ends the connections that Ansible keeps.
func (n *named) closeMasters(dir string) {
	sockets, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, socket := range sockets {
		n.run(".", "ssh", "-F", n.config, "-o", "ControlPath="+socket, "-O", "exit", "v.banger")
	}
}

func TestInterop_SSHFSMountsADirectoryOfAVM(t *testing.T) {
	tried(t, "sshfs", debian(t, "sshfs"), "a directory of `v.banger` mounted, written, read, renamed, with links and modes")
	n := newNamed(t)
	there, at := t.TempDir(), t.TempDir()
	n.run(".", "sshfs", "-F", n.config, "v.banger:"+there, at)
	defer n.run(".", "umount", at)
	data := bytes.Repeat([]byte("\x00\xff sshfs"), 1<<18)
	if err := os.WriteFile(filepath.Join(at, "one"), data, 0o640); err != nil {
		t.Fatal(err)
	}
	n.run(at, "sh", "-ec", "mkdir -p a/b; mv one a/b/two; ln -s b/two a/link; chmod 600 a/b/two; touch -d @1600000000 a/b/two; echo more >>a/b/two; ls -lR; df .; rm -r $(mktemp -d ./XXXXXX)")
	got, err := os.ReadFile(filepath.Join(there, "a", "link"))
	if err != nil || !bytes.Equal(got, append(data, "more\n"...)) {
		t.Errorf("%d bytes came there of %d, or others; %v", len(got), len(data)+5, err)
	}
	if info, err := os.Stat(filepath.Join(there, "a", "b", "two")); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}
