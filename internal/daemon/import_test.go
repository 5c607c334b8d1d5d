//go:build !unit

package daemon

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"banger"
)

func tool(t *testing.T, command ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
}

// The same image in all forms in which it is written by docker, podman, skopeo and umoci is
// the same image here, with the same layers, and has the name that it has there.
func TestImportImage_TakesWhatOthersHaveWritten(t *testing.T) {
	dir := t.TempDir()
	image := imageOf(t, randomLayer(t, 10<<10), randomLayer(t, 1<<10))
	path, err := layout.Write(filepath.Join(dir, "layout"), empty.Index)
	if err == nil {
		err = path.AppendImage(image, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "v1"}))
	}
	if err == nil {
		err = tarball.WriteToFile(filepath.Join(dir, "saved.tar"), name.MustParseReference("docker.io/library/app:1"), image)
	}
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	tool(t, "tar", "-C", in("layout"), "-cf", in("archive.tar"), ".")
	from := "oci:" + in("layout") + ":v1"
	tool(t, "skopeo", "--insecure-policy", "copy", from, "oci:"+in("copied")+":v2")
	tool(t, "skopeo", "--insecure-policy", "copy", from, "oci-archive:"+in("copied.tar")+":team/app:v2")
	tool(t, "skopeo", "--insecure-policy", "copy", "--format", "v2s2", from, "docker-archive:"+in("docker.tar")+":app:3")
	tool(t, "skopeo", "--insecure-policy", "copy", "--dest-compress-format", "zstd", "--dest-compress", from, "oci:"+in("zstd")+":v1")
	tool(t, "sh", "-c", "gzip -k "+in("docker.tar")+" && zstd -q "+in("copied.tar")+" -o "+in("copied.tar.zst"))
	tool(t, "cp", "-r", in("layout"), in("umoci"))
	tool(t, "umoci", "tag", "--image", in("umoci")+":v1", "second")
	tool(t, "umoci", "config", "--image", in("umoci")+":v1", "--config.env", "FROM=umoci", "--tag", "changed")

	d := newDaemon(t, dir, nil)
	layers, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, name string }{
		{"layout", "layout:v1"}, {"layout:v1", "layout:v1"}, {"archive.tar", "archive:v1"}, {"saved.tar", "app:1"},
		{"copied", "copied:v2"}, {"copied.tar", "team/app:v2"}, {"docker.tar", "app:3"}, {"zstd", "zstd:v1"},
		{"docker.tar.gz", "app:3"}, {"copied.tar.zst", "team/app:v2"},
		{"umoci:second", "umoci:second"}, {"umoci:changed", "umoci:changed"},
	} {
		got, err := d.Images.ImportImage(t.Context(), banger.ImportRequest{Path: in(c.path)}, nil)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		if !hasName(got, c.name) || len(got.OCI.Layers) != 2 || got.OCI.Layers[1].Digest != layers.RootFS.DiffIDs[1].String() || got.OCI.Config.User != "1000:1000" {
			t.Errorf("%s is %+v, %+v; want the name %s", c.path, got, got.OCI, c.name)
		}
		if changed := strings.Contains(strings.Join(got.OCI.Config.Env, " "), "FROM=umoci"); changed != (c.path == "umoci:changed") {
			t.Errorf("%s has the environment %q", c.path, got.OCI.Config.Env)
		}
		if found, err := d.Images.GetImage(t.Context(), c.name); err != nil || found.ID != got.ID {
			t.Errorf("%s is not found by its name %s: %v", c.path, c.name, err)
		}
	}
	entries, err := os.ReadDir(layersDir(d))
	if err != nil || len(entries) != 3 { // two layers and the lock
		t.Errorf("the layers are stored more than once: %v, %v", entries, err)
	}
}

func hasName(i banger.Image, name string) bool {
	for _, n := range i.Names() {
		if n == name {
			return true
		}
	}
	return false
}

func TestImportImage_RefusedSaysTheNextStepAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	image := imageOf(t, randomLayer(t, 10<<10))
	two, err := layout.Write(in("two"), empty.Index)
	for _, tag := range []string{"one", "other"} {
		if err == nil {
			err = two.AppendImage(configured(t, image, func(c *v1.ConfigFile) { c.Author = tag }),
				layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": tag}))
		}
	}
	if err == nil {
		err = os.WriteFile(in("text"), []byte(strings.Repeat("not an image\n", 100)), 0o600)
	}
	if err == nil {
		err = os.Mkdir(in("empty"), 0o700)
	}
	cut, errCut := layout.Write(in("without"), empty.Index)
	if errCut == nil {
		errCut = cut.AppendImage(image)
	}
	if err != nil || errCut != nil {
		t.Fatal(err, errCut)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	blob := filepath.Join(in("without"), "blobs", "sha256", manifest.Layers[0].Digest.Hex)
	if err := os.Remove(blob); err != nil {
		t.Fatal(err)
	}
	// A link out of the layout is not followed.
	if err := os.Symlink("/etc/passwd", blob); err != nil {
		t.Fatal(err)
	}
	var half bytes.Buffer
	w := gzip.NewWriter(&half)
	if _, err := io.CopyN(w, rand.Reader, 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("cut.tar.gz"), half.Bytes()[:half.Len()/2], 0o600); err != nil {
		t.Fatal(err)
	}
	var bomb bytes.Buffer
	w = gzip.NewWriter(&bomb)
	if _, err := io.CopyN(w, endless{}, 8<<20); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("bomb.tar.gz"), bomb.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDaemon(t, t.TempDir(), nil)
	for path, c := range map[string]struct {
		code banger.Code
		says string
	}{
		in("none"):        {banger.CodeNotFound, "no such file"},
		"relative":        {banger.CodeInvalid, "absolute"},
		in("empty"):       {banger.CodeInvalid, "layout"},
		in("text"):        {banger.CodeInvalid, "archive"},
		"/dev/null":       {banger.CodeInvalid, "neither"},
		in("cut.tar.gz"):  {banger.CodeInvalid, "cut off"},
		in("bomb.tar.gz"): {banger.CodeInvalid, "--max-size"},
		in("two"):         {banger.CodeAmbiguous, "PATH:TAG"},
		in("two:none"):    {banger.CodeNotFound, "none"},
		in("without"):     {banger.CodeInvalid, manifest.Layers[0].Digest.Hex},
	} {
		_, err := d.Images.ImportImage(t.Context(), banger.ImportRequest{Path: path, MaxBytes: 4 << 20}, nil)
		e, _ := errors.AsType[*banger.Error](err)
		if e == nil || e.Code != c.code || !strings.Contains(err.Error()+e.Hint, c.says) {
			t.Errorf("%s: %v, want %s and %q", path, err, c.code, c.says)
		}
		if files := stored(t, d); len(files) != 0 {
			t.Errorf("%s: left behind: %v", path, files)
		}
	}
}
