//go:build interop

package session

import (
	"archive/tar"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/agent/passwd"
	"banger/internal/signalname"
)

// process is what a program was started with; of ours, what it will be.
type process struct {
	Argv   []string
	Env    []string
	Cwd    string
	UID    uint32
	GID    uint32
	Groups []uint32
}

// What the comparison is made with: the user database of the images.
const (
	podmanPasswd = "root:x:0:0::/root:/bin/sh\napp:x:1000:100::/home/app:/bin/sh\n12:x:77:78::/twelve:/bin/sh\n"
	podmanGroup  = "root:x:0:\nusers:x:100:\nwheel:x:10:app,root\nextra:x:20:app\n"
)

// An image's command, variables, directory and user become those of a session as podman makes
// them those of a container. differs says what is another on purpose, and why.
func TestWithImage_IsWhatPodmanRuns(t *testing.T) {
	config := func(change func(*v1.Config)) v1.Config {
		c := v1.Config{Entrypoint: []string{"/show"}, Cmd: []string{"a b", ""}, WorkingDir: "/"}
		if change != nil {
			change(&c)
		}
		return c
	}
	user := func(u string) v1.Config { return config(func(c *v1.Config) { c.User = u }) }
	const home = "Without a directory of its image a session begins in the home of its user, as a login does."
	const names = "A variable that no shell can name is left out."
	const digits = "A user whose name is a number is that user, as docker and su(1) have it; podman takes the number."
	p := podmans(t)
	for title, c := range map[string]struct {
		config    v1.Config
		flags     []string // of podman run
		args      []string // behind the image
		request   banger.SessionRequest
		user      string // why it is another
		directory string // why it is another
		variables string // why they are others
	}{
		"entry point and command": {config: config(nil)},
		"entry point alone":       {config: config(func(c *v1.Config) { c.Cmd = nil })},
		"command alone":           {config: config(func(c *v1.Config) { c.Entrypoint, c.Cmd = nil, []string{"/show", "x"} })},
		"arguments":               {config: config(nil), args: []string{"1", "2 3"}, request: banger.SessionRequest{Launch: banger.Launch{Args: banger.ByteStrings([]string{"1", "2 3"})}}},
		"another entry point": {
			config: config(nil), flags: []string{"--entrypoint", "/show"},
			request: banger.SessionRequest{Launch: banger.Launch{Command: "/show"}},
		},
		"another entry point with arguments": {
			config: config(nil), flags: []string{"--entrypoint", "/show"}, args: []string{"z"},
			request: banger.SessionRequest{Launch: banger.Launch{Command: "/show", Args: banger.ByteStrings([]string{"z"})}},
		},
		"no entry point, a command": {
			config: config(nil), flags: []string{"--entrypoint", ""}, args: []string{"/show", "z"},
			request: banger.SessionRequest{Launch: banger.Launch{Command: "/show", Args: banger.ByteStrings([]string{"z"})}},
		},
		"an empty entry point":          {config: config(func(c *v1.Config) { c.Entrypoint, c.Cmd = []string{""}, []string{"/show", "x"} })},
		"no directory":                  {config: config(func(c *v1.Config) { c.WorkingDir = "" }), directory: home},
		"a directory that is not there": {config: config(func(c *v1.Config) { c.WorkingDir = "/not/there" })},
		"another directory": {
			config: config(nil), flags: []string{"--workdir", "/etc"},
			request: banger.SessionRequest{Launch: banger.Launch{Cwd: "/etc"}},
		},
		"variables":              {config: config(func(c *v1.Config) { c.Env = []string{"S=a b", `Q="x" 'y' $HOME`, "E=", "U=ő", "PATH=/bin", "EQ=a=b"} })},
		"a variable given twice": {config: config(func(c *v1.Config) { c.Env = []string{"A=1", "B=2", "A=3"} })},
		"a variable that is replaced": {
			config: config(func(c *v1.Config) { c.Env = []string{"A=1", "B=2"} }), flags: []string{"--env", "A=9"},
			request: banger.SessionRequest{Launch: banger.Launch{Env: map[string]banger.ByteString{"A": "9"}}},
		},
		"a variable with a dot": {config: config(func(c *v1.Config) { c.Env = []string{"a.b=1", "B=2"} }), variables: names},
		"a user by name":        {config: user("app")},
		"by number":             {config: user("1000")},
		"name and group":        {config: user("app:extra")},
		"name and number":       {config: user("app:10")},
		"numbers":               {config: user("1000:7")},
		"an unknown number":     {config: user("4242")},
		"unknown numbers":       {config: user("4242:4343")},
		"root":                  {config: user("root")},
		"zero":                  {config: user("0")},
		"a name of digits":      {config: user("12"), user: digits},
		"an unknown name":       {config: user("nobody-here")},
		"an unknown group":      {config: user("app:nobody-here")},
		"another user":          {config: user("app"), flags: []string{"--user", "root"}, request: banger.SessionRequest{Launch: banger.Launch{User: "root"}}},
	} {
		t.Run(title, func(t *testing.T) {
			theirs, errTheirs := p.run(t, c.config, c.flags, c.args)
			ours, errOurs := p.ours(c.config, c.request)
			if (errTheirs == nil) != (errOurs == nil) {
				t.Fatalf("podman: %v; ours: %v", errTheirs, errOurs)
			}
			if errOurs != nil {
				return
			}
			if c.directory == "" && ours.Cwd != theirs.Cwd || c.directory != "" && ours.Cwd == theirs.Cwd {
				t.Errorf("the directory is %q, and podman's %q; to differ: %q", ours.Cwd, theirs.Cwd, c.directory)
			}
			if same := slices.Equal(ours.Env, theirs.Env); same == (c.variables != "") {
				t.Errorf("the variables are %q, and podman's %q; to differ: %q", ours.Env, theirs.Env, c.variables)
			}
			same := ours.UID == theirs.UID && ours.GID == theirs.GID && slices.Equal(ours.Groups, theirs.Groups)
			if same == (c.user != "") {
				t.Errorf("the user is %d:%d %v, and podman's %d:%d %v; to differ: %q", ours.UID, ours.GID, ours.Groups, theirs.UID, theirs.GID, theirs.Groups, c.user)
			}
			if !slices.Equal(ours.Argv, theirs.Argv) {
				t.Errorf("the command is %q, and podman's %q", ours.Argv, theirs.Argv)
			}
		})
	}
}

// The stop signal, in every form, is the one that podman would send.
func TestWithImage_IsStoppedAsByPodman(t *testing.T) {
	p := podmans(t)
	for _, text := range []string{"", "SIGQUIT", "INT", "int", "9", "SIGRTMIN+3", "RTMAX-1", "37", "SIGNOPE", "0", "99"} {
		c := v1.Config{Cmd: []string{"/show"}, StopSignal: text}
		p.load(t, c)
		out, errTheirs := p.podman(t, "create", "--name", "stopped", "--replace", "--network", "none", "localhost/show:1")
		if errTheirs == nil {
			out, errTheirs = p.podman(t, "inspect", "--format", "{{.Config.StopSignal}}", "stopped")
		}
		name, errOurs := stopSignal(withImage(banger.SessionRequest{}, &banger.ImageConfig{Cmd: c.Cmd, StopSignal: text}).StopSignal)
		ours := cmp.Or(signalname.Parse(name), unix.SIGTERM)
		if (errTheirs == nil) != (errOurs == nil) || errOurs == nil && strconv.Itoa(int(ours)) != strings.TrimSpace(string(out)) {
			t.Errorf("%q: %d, %v; podman: %q, %v", text, ours, errOurs, out, errTheirs)
		}
	}
}

// podman is one with a store of its own, and the root of the images that it runs.
type podman struct{ root, work string }

func podmans(t *testing.T) podman {
	t.Helper()
	work, err := os.MkdirTemp("", "p-") // podman wants short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(work) })
	p := podman{root: t.TempDir(), work: work}
	err = os.Mkdir(filepath.Join(p.root, "etc"), 0o755)
	for file, text := range map[string]string{"etc/passwd": podmanPasswd, "etc/group": podmanGroup} {
		if err == nil {
			err = os.WriteFile(filepath.Join(p.root, file), []byte(text), 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(p.root, "show"), "./testdata/show")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return p
}

// ours is what a session of an image with this configuration is started with.
func (p podman) ours(c v1.Config, r banger.SessionRequest) (process, error) {
	image := banger.ImageConfig{Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env, User: c.User, WorkingDir: c.WorkingDir}
	if err := image.Validate(); err != nil {
		return process{}, err
	}
	r = withImage(r, &image)
	user, err := passwd.At(filepath.Join(p.root, "etc")).Resolve(map[bool]string{true: "root", false: r.User}[r.User == ""])
	if err != nil {
		return process{}, err
	}
	ours := process{Argv: []string{string(r.Command)}, Cwd: string(r.Cwd), UID: user.UID, GID: user.GID, Groups: user.Groups}
	for _, a := range r.Args {
		ours.Argv = append(ours.Argv, string(a))
	}
	if ours.Cwd == "" {
		ours.Cwd = user.Home
	}
	for name, value := range r.Env {
		ours.Env = append(ours.Env, name+"="+string(value))
	}
	return ours.sorted(), nil
}

// run has podman make a container of an image with this configuration.
func (p podman) run(t *testing.T, c v1.Config, flags, args []string) (process, error) {
	t.Helper()
	p.load(t, c)
	// Limits that it need not raise, and neither groups of processes nor a network: the
	// comparison works in a container, too.
	run := append([]string{"run", "--rm", "--network", "none", "--cgroups", "disabled", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"}, flags...)
	out, err := p.podman(t, append(append(run, "localhost/show:1"), args...)...)
	if err != nil {
		return process{}, err
	}
	var theirs process
	if err := json.Unmarshal(out, &theirs); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return theirs.sorted(), nil
}

// load has podman know an image with this configuration as localhost/show:1.
func (p podman) load(t *testing.T, c v1.Config) {
	t.Helper()
	archive := filepath.Join(p.work, "image.tar")
	if err := tarball.WriteToFile(archive, name.MustParseReference("localhost/show:1"), p.image(t, c)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.podman(t, "load", "-q", "-i", archive); err != nil {
		t.Fatal(err)
	}
}

// sorted returns what can be compared: the order of variables and groups means nothing, and
// some variables are those of containers or of users and not of the image.
func (p process) sorted() process {
	p.Env = slices.DeleteFunc(p.Env, func(v string) bool {
		name, value, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"container", "TERM", "HOSTNAME", "HOME"}, name) || name == "PATH" && strings.HasPrefix(value, "/usr/local/sbin:")
	})
	slices.Sort(p.Env)
	p.Groups = slices.DeleteFunc(p.Groups, func(g uint32) bool { return g == p.GID }) // a process is in it anyway
	slices.Sort(p.Groups)
	return p
}

// image makes one of the root.
func (p podman) image(t *testing.T, c v1.Config) v1.Image {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.AddFS(os.DirFS(p.root)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	var file *v1.ConfigFile
	if err == nil {
		file, err = image.ConfigFile()
	}
	if err == nil {
		file = file.DeepCopy()
		file.OS, file.Architecture, file.Config = "linux", runtime.GOARCH, c
		image, err = mutate.ConfigFile(image, file)
	}
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// podman runs it with a store of its own. crun 1.8 refuses hosts with control groups of both
// versions even if it is to make none, so it sees none.
func (p podman) podman(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	const alone = `mount -t tmpfs none /sys/fs/cgroup && exec podman --root "$0/store" --runroot "$0/run" --storage-driver vfs --cgroup-manager cgroupfs --events-backend file "$@"`
	cmd := exec.CommandContext(t.Context(), "unshare", append([]string{"--mount", "sh", "-c", alone, p.work}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("podman %q: %w: %s", args, err, &errs)
	}
	return out, nil
}
