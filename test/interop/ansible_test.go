//go:build interop

package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Ansible's ssh connection, with banger vm ssh in place of ssh, brings a host into the state
// that a playbook describes; done again, nothing is left to change.
func TestInterop_AnsibleRunsAPlaybookOverVMSSH(t *testing.T) {
	python := pythonPackages(t, "ansible.txt")
	tried(t, "ansible-core", pinned(t, python, "ansible-core"), "a playbook over its ssh connection plugin, with `banger vm ssh` as the ssh executable")
	p := newPlace(t)
	dir := sharedDir(t)
	script(t, filepath.Join(dir, "ssh"), `exec banger vm ssh "$@"`)
	for name, text := range map[string]string{
		"ansible.cfg": "[defaults]\nstdout_callback = default\nretry_files_enabled = false\ninterpreter_python = /usr/bin/python3\n" +
			"[ssh_connection]\nssh_executable = " + filepath.Join(dir, "ssh") + "\nssh_args =\nusetty = False\ntransfer_method = piped\n",
		"inventory":   "v\n",
		"greeting.j2": "{{ word }} from {{ inventory_hostname }}\n" + strings.Repeat("äöü 漢字 and what a shell could interpret: $HOME `id` \"'\\\n", 500),
		"play.yml": `
- hosts: v
  vars: {word: hello}
  tasks:
    - setup: {gather_subset: min}
    - file: {path: "{{ ansible_user_dir }}/interop/deep", state: directory, mode: "0750"}
    - template: {src: greeting.j2, dest: "{{ ansible_user_dir }}/interop/deep/greeting", mode: "0640"}
    - lineinfile: {path: "{{ ansible_user_dir }}/interop/deep/greeting", line: "the last line"}
    - command: sh -c 'echo out; echo err >&2; exit 3'
      register: ended
      failed_when: ended.rc != 3 or ended.stdout != "out" or ended.stderr != "err"
      changed_when: false
    - fetch: {src: "{{ ansible_user_dir }}/interop/deep/greeting", dest: fetched, flat: true}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p.Setenv("ANSIBLE_HOME", filepath.Join(dir, "home"))
	play := func() string {
		return p.run(dir, filepath.Join(python, "ansible-playbook"), "-i", "inventory", "play.yml")
	}
	if first := play(); !strings.Contains(first, "failed=0") || !strings.Contains(first, "changed=4") || !strings.Contains(first, "unreachable=0") {
		t.Errorf("the first run:\n%s", first)
	}
	want, err := os.ReadFile(filepath.Join(dir, "greeting.j2"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(want), "{{ word }} from {{ inventory_hostname }}", "hello from v", 1) + "the last line\n"
	if got, err := os.ReadFile(filepath.Join(dir, "fetched")); err != nil || string(got) != text {
		t.Errorf("%d bytes came back of %d, or others: %v", len(got), len(text), err)
	}
	// Only the template, which lacks the last line, differs from what is there.
	if second := play(); !strings.Contains(second, "failed=0") || !strings.Contains(second, "changed=2") {
		t.Errorf("the second run:\n%s", second)
	}
}
