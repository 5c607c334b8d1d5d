package cli

import (
	"slices"
	"strings"
	"testing"

	"banger"
)

var httpd = &banger.ImageConfig{Entrypoint: []string{"/entry"}, Cmd: []string{"httpd"}}

func TestUp_HasTheVMRunningAndTheCommandOfItsImage(t *testing.T) {
	web := banger.VM{ID: "0123456789abcdef", Name: "web", ImageName: "node:22", ImageID: "fedcba9876543210"}
	is := func(state banger.VMState, c *banger.ImageConfig) []banger.VM {
		vm := web
		vm.State, vm.ImageConfig = state, c
		return []banger.VM{vm}
	}
	images := []banger.Image{{ID: "00000000000000aa", Name: "other"}}
	for _, c := range []struct {
		what   string
		line   string
		vms    []banger.VM
		asked  []string
		status int
		says   string
	}{
		{"a new VM", "up node:22", is(banger.VMStopped, httpd), []string{"create-vm", "start-vm 0123456789abcdef", "start-session 0123456789abcdef"}, 0, "logs -f web"},
		{"one that is stopped", "up --name web", is(banger.VMStopped, httpd), []string{"start-vm 0123456789abcdef", "start-session 0123456789abcdef"}, 0, "logs -f web"},
		{"one of the image that was named", "up --name web node:22", is(banger.VMFailed, httpd), []string{"start-vm 0123456789abcdef", "start-session 0123456789abcdef"}, 0, "logs -f web"},
		{"an image without a command", "up --name web", is(banger.VMStopped, &banger.ImageConfig{}), []string{"start-vm 0123456789abcdef"}, 0, ""},
		{"an image that was built here", "up --name web", is(banger.VMStopped, nil), []string{"start-vm 0123456789abcdef"}, 0, ""},
		{"one that runs", "up --name web", is(banger.VMRunning, httpd), nil, 0, ""},
		{"one of another init", "up --name web --init systemd", is(banger.VMRunning, httpd), nil, 125, "it has banger"},
		{"one of the same init", "up --name web --init banger", is(banger.VMRunning, httpd), nil, 0, ""},
		{"an init that nobody knows", "up --name web --init runit", is(banger.VMRunning, httpd), nil, 2, "it must be banger or systemd"},
		{"one of another image", "up --name web other", is(banger.VMRunning, httpd), nil, 125, "it is of image node:22"},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := &fake{vms: c.vms, images: images, sessions: []banger.Session{{Name: "httpd-1"}}}
			r := f.run(t, "", strings.Fields(c.line)...)
			if r.status != c.status || !slices.Equal(f.asked, c.asked) || !strings.Contains(r.stderr, c.says) || c.says == "" && r.stderr != "" {
				t.Errorf("status %d, asked for %q, stderr %q", r.status, f.asked, r.stderr)
			}
			if c.status == 0 && r.stdout != "web\n" {
				t.Errorf("stdout %q", r.stdout)
			}
		})
	}
}

// As with docker and podman: a command is what the entry point gets.
func TestRun_ACommandReplacesThatOfTheImageAndNotItsEntryPoint(t *testing.T) {
	for _, c := range []struct {
		line    string
		config  *banger.ImageConfig
		command banger.ByteString
		args    []banger.ByteString
	}{
		{"run node:22", httpd, "", nil},
		{"run node:22 -- node -e 1", httpd, "", banger.ByteStrings([]string{"node", "-e", "1"})},
		{"run --image node:22 -- node", httpd, "", banger.ByteStrings([]string{"node"})},
		{"run debian -- node", nil, "node", nil},
	} {
		f := &fake{vms: []banger.VM{{ID: "0123456789abcdef", Name: "v", ImageConfig: c.config}}, images: []banger.Image{{ID: "00000000000000aa", Name: "node:22"}}}
		f.run(t, "", strings.Fields(c.line)...)
		if f.started.Command != c.command || !slices.Equal(f.started.Args, c.args) || f.created.Image != strings.Fields(strings.ReplaceAll(c.line, "--image ", ""))[1] {
			t.Errorf("%s: a VM of %q runs %q %q", c.line, f.created.Image, f.started.Command, f.started.Args)
		}
	}
	f := &fake{vms: []banger.VM{{ID: "0123456789abcdef", Name: "v"}}, images: []banger.Image{{ID: "00000000000000aa", Name: "debian"}}}
	if r := f.run(t, "", "run", "debian"); r.status != 2 || !strings.Contains(r.stderr, "banger run debian -- COMMAND") || slices.Contains(f.asked, "start-vm 0123456789abcdef") {
		t.Errorf("an image without a command: status %d, %q, asked for %q", r.status, r.stderr, f.asked)
	}
}

// As with docker and podman: an entry point that is given replaces the command of the image,
// too, and an empty one is none.
func TestRun_AnEntryPointReplacesTheWholeCommandOfTheImage(t *testing.T) {
	image := &banger.ImageConfig{Entrypoint: []string{"/entry"}, Cmd: []string{"httpd"}, StopSignal: "SIGQUIT"}
	for _, c := range []struct {
		words   []string
		command banger.ByteString
		args    []string
		signal  string
	}{
		{[]string{"--entrypoint", "/bin/sh", "node:22"}, "/bin/sh", nil, "SIGQUIT"},
		{[]string{"--entrypoint", "/bin/sh", "node:22", "--", "-c", "", "a b"}, "/bin/sh", []string{"-c", "", "a b"}, "SIGQUIT"},
		{[]string{"--entrypoint", "", "node:22", "--", "ls", "-l"}, "ls", []string{"-l"}, "SIGQUIT"},
		{[]string{"--entrypoint", "/bin/sh", "--stop-signal", "INT", "node:22"}, "/bin/sh", nil, "INT"},
		{[]string{"--entrypoint", "/bin/sh", "--image", "node:22"}, "/bin/sh", nil, "SIGQUIT"},
	} {
		f := &fake{vms: []banger.VM{{ID: "0123456789abcdef", Name: "v", ImageConfig: image}}, images: []banger.Image{{ID: "00000000000000aa", Name: "node:22"}}}
		f.run(t, "", append([]string{"run"}, c.words...)...)
		if f.started.Command != c.command || !slices.Equal(banger.Strings(f.started.Args), c.args) || f.started.StopSignal != c.signal {
			t.Errorf("%q: it runs %q %q, stopped by %q", c.words, f.started.Command, f.started.Args, f.started.StopSignal)
		}
	}
	f := &fake{vms: []banger.VM{{ID: "0123456789abcdef", Name: "v", ImageConfig: image}}, images: []banger.Image{{ID: "00000000000000aa", Name: "node:22"}}}
	if r := f.run(t, "", "run", "--entrypoint", "", "node:22"); r.status != 2 || !strings.Contains(r.stderr, "nothing to run") || f.asked != nil {
		t.Errorf("nothing to run: status %d, %q, asked for %q", r.status, r.stderr, f.asked)
	}
}
