//go:build !unit

package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"banger"
)

func TestTagImage_AnImageLosesOneOfSeveralNamesBeforeItIsDeleted(t *testing.T) {
	r := newRegistry(t, false)
	r.push(t, "app", imageOf(t, randomLayer(t, 1<<10)))
	d := newDaemon(t, t.TempDir(), nil)
	ctx := t.Context()
	image := pull(t, d, r.ref("app"))
	for _, name := range []string{"app:1", "mine", "mine"} {
		if _, err := d.Images.TagImage(ctx, r.ref("app"), banger.TagRequest{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	names := func(want ...string) {
		t.Helper()
		got, err := d.Images.GetImage(ctx, string(image.ID))
		if err != nil || !slices.Equal(got.Names(), want) {
			t.Errorf("names are %v, %v; want %v", got.Names(), err, want)
		}
	}
	full := r.ref("app:latest")
	names(full, "app:1", "mine")
	if again := pull(t, d, r.ref("app")); again.ID != image.ID {
		t.Errorf("another pull made %s", again.ID)
	}
	names(full, "app:1", "mine")
	for _, name := range []string{"docker.io/library/app:1", r.ref("app")} { // as they are found
		if err := d.Images.DeleteImage(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	names("mine")
	if _, err := d.Images.TagImage(ctx, "mine", banger.TagRequest{Name: "a b"}); banger.CodeOf(err) != banger.CodeInvalid {
		t.Errorf("a name with a blank: %v", err)
	}
	if err := d.Images.DeleteImage(ctx, "mine"); err != nil {
		t.Fatal(err)
	}
	if files := stored(t, d); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
}

// prune deletes what no VM uses, and a dry run says exactly that before.
func TestPruneImages_DeletesWhatADryRunSays(t *testing.T) {
	r := newRegistry(t, false)
	base := randomLayer(t, 100<<10)
	r.push(t, "used", imageOf(t, base))
	r.push(t, "free", imageOf(t, base, randomLayer(t, 1<<10)))
	d := newDaemon(t, t.TempDir(), nil)
	used := pull(t, d, r.ref("used"))
	free := pull(t, d, r.ref("free"))
	if _, err := d.Store.VMs.CreateVM(t.Context(), banger.VM{ID: banger.NewVMID(), Name: "vm", ImageID: used.ID, State: banger.VMStopped}); err != nil {
		t.Fatal(err)
	}
	// What an interrupted pull has left goes, too.
	downloads := downloadsDir(d)
	if err := os.MkdirAll(downloads, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(downloads, "x.partial"), make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	before := stored(t, d)
	said, err := d.Images.PruneImages(t.Context(), banger.ImagePruneRequest{DryRun: true})
	if err != nil || len(said.Images) != 1 || said.Images[0].ID != free.ID || said.ReclaimedBytes < free.OCI.Layers[1].SizeBytes+1000 || said.ReclaimedBytes >= free.SizeBytes {
		t.Errorf("a dry run says %+v, %v", said, err)
	}
	if after := stored(t, d); !slices.Equal(before, after) {
		t.Errorf("a dry run left %v of %v", after, before)
	}
	did, err := d.Images.PruneImages(t.Context(), banger.ImagePruneRequest{})
	if err != nil || len(did.Images) != 1 || did.ReclaimedBytes != said.ReclaimedBytes {
		t.Errorf("it did %+v, %v, and said %+v", did, err, said)
	}
	if files := stored(t, d); len(files) != 2 { // the manifest and the layer of the other one
		t.Errorf("left are %v", files)
	}
	if err := d.Images.Verify(t.Context(), used.ID); err != nil {
		t.Error(err)
	}
}

// The next VM would have the default image built again: it goes only when it is asked for.
func TestPruneImages_LeavesTheDefaultImage(t *testing.T) {
	d := newDaemon(t, t.TempDir(), nil)
	for _, i := range []banger.Image{{ID: "old"}, {ID: "new", Name: "web", Tags: []string{banger.DefaultImageName}}} {
		i.RecipeDigest = string(i.ID)
		if _, err := d.Store.Images.PutImage(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		all  bool
		want banger.ImageID
	}{{false, "old"}, {true, "new"}} {
		for _, dry := range []bool{true, false} {
			result, err := d.Images.PruneImages(t.Context(), banger.ImagePruneRequest{All: c.all, DryRun: dry})
			if err != nil || len(result.Images) != 1 || result.Images[0].ID != c.want {
				t.Errorf("all %v, dry %v: pruned are %+v, %v; want %s", c.all, dry, result.Images, err, c.want)
			}
		}
	}
}

// A layer that was damaged is made again by a pull.
func TestPullImage_MakesALayerAgainThatWasCutOff(t *testing.T) {
	r := newRegistry(t, false)
	r.push(t, "app", imageOf(t, randomLayer(t, 1<<10), randomLayer(t, 1<<10)))
	d := newDaemon(t, t.TempDir(), nil)
	image := pull(t, d, r.ref("app"))
	path := filepath.Join(layersDir(d), image.OCI.Layers[1].ChainID[len("sha256:"):]+".ext4")
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	if err := d.Images.Verify(t.Context(), image.ID); banger.CodeOf(err) != banger.CodeCorrupt {
		t.Errorf("it is not noticed: %v", err)
	}
	if again := pull(t, d, r.ref("app")); again.ID != image.ID {
		t.Errorf("it made another image, %s", again.ID)
	}
	if err := d.Images.Verify(t.Context(), image.ID); err != nil {
		t.Error(err)
	}
}
