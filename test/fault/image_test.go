package fault

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"banger"
	"banger/test/installation"
	"banger/test/wait"
)

func TestFault_InterruptedImageBuildLeavesNothingAndTheNextOneWorks(t *testing.T) {
	i, image := installation.NewWithImages(t, bin)
	root := filepath.Join(i.Paths().Image(image.ID), "root.ext4")
	want := sum(t, root)
	scratch := filepath.Join(i.Dir, "tmp")
	if err := os.Mkdir(scratch, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(i.Dir, 0o711); err != nil { // a build's other ids must get to its temporary files
		t.Fatal(err)
	}
	i.MustRun(t, "daemon", "stop")
	i.Setenv("TMPDIR", scratch)
	// What is built is what repairs the image that is there.
	if err := os.Remove(root); err != nil {
		t.Fatal(err)
	}
	i.MustRun(t, "image", "list")
	daemon := i.DaemonPID(t)
	var once sync.Once
	_, err := i.Client().BuildImage(t.Context(), "default", image.Recipe, func(p banger.BuildProgress) {
		if p.Stage == "extracting packages" {
			once.Do(func() { installation.Kill(t, daemon) })
		}
	})
	if banger.CodeOf(err) != banger.CodeUnavailable {
		t.Errorf("the interrupted build ended with: %v", err)
	}
	builders := func() []int { return installation.Processes(t, "environ", "TMPDIR="+scratch+"/banger-image-") }
	wait.For(t, "no process of the build is left", func() bool { return len(builders()) == 0 })

	if images := installation.JSON[[]banger.Image](t, i, "image", "list"); len(images) != 1 || images[0].ID != image.ID {
		t.Errorf("there are images %+v", images)
	}
	if left, err := filepath.Glob(filepath.Join(i.Paths().Images(), "*")); err != nil || len(left) != 1 || filepath.Base(left[0]) != string(image.ID) {
		t.Errorf("the directory of images holds %q: %v", left, err)
	}
	for _, dir := range []string{filepath.Join(i.Paths().Images(), ".build-*"), filepath.Join(scratch, "*")} {
		if left, err := filepath.Glob(dir); err != nil || len(left) != 0 {
			t.Errorf("left behind: %q %v", left, err)
		}
	}
	if r := i.Run(t, "vm", "create", "v"); r.Code != 125 {
		t.Errorf("the broken image is used: %s", r)
	}
	if full() {
		i.Image(t)
		i.MustRun(t, "vm", "create", "v")
		if !bytes.Equal(sum(t, root), want) {
			t.Error("what was built is not what was there")
		}
	} else { // the same until it is certain that nothing is in its way
		nextBuildDownloads(t, i, image.Recipe)
	}
	if left, err := filepath.Glob(filepath.Join(scratch, "*")); err != nil || len(left) != 0 {
		t.Errorf("left behind by the next build: %q %v", left, err)
	}
}

// nextBuildDownloads builds an image until its packages are being downloaded, and cancels that.
func nextBuildDownloads(t *testing.T, i *installation.Installation, recipe banger.ImageRecipe) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	downloads := false
	_, err := i.Client().BuildImage(ctx, "default", recipe, func(p banger.BuildProgress) {
		if p.Stage == "downloading packages" {
			downloads = true
			cancel()
		}
	})
	if !downloads || !errors.Is(err, context.Canceled) {
		t.Errorf("the next build has downloaded %v, and ended with: %v", downloads, err)
	}
	i.MustRun(t, "daemon", "stop") // waits for what ends the build
}
