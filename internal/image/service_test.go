package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"banger"
)

func TestBuildImage_KeepsWhatAVMBootsFromAndNoMore(t *testing.T) {
	f, _ := newFakeFixture(t)
	image := f.mustBuild(t, "default", banger.ImageRecipe{})
	if image.KernelRelease != testRelease || image.Packages != 2 || image.Recipe.Suite != "bookworm" || image.SizeBytes == 0 || !banger.ValidID(string(image.ID)) {
		t.Errorf("image is %+v", image)
	}
	files, err := f.Files(t.Context(), image.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := "manifest.json modules/6.1.0-test/kernel/fs/a.ko modules/6.1.0-test/modules.dep packages.txt root.ext4 vmlinuz"
	if got := tree(t, f.Paths.Image(image.ID)); got != want {
		t.Errorf("image has the files %s, want %s", got, want)
	}
	if _, err := os.Stat(filepath.Join(files.Modules, "modules.dep")); err != nil {
		t.Error(err)
	}
	list, err := os.ReadFile(filepath.Join(f.Paths.Image(image.ID), packagesName))
	if err != nil || string(list) != "a 1 all\nb 2 amd64\n" {
		t.Errorf("packages.txt is %q, %v", list, err)
	}
	if left := f.leftovers(t); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

func TestBuildImage_SecondBuildOfARecipeOnlyGivesTheName(t *testing.T) {
	f, b := newFakeFixture(t)
	first := f.mustBuild(t, "one", banger.ImageRecipe{Include: []string{"git", "curl"}})
	var last banger.BuildProgress
	second, err := f.BuildImage(t.Context(), "two", banger.ImageRecipe{Suite: "bookworm", Include: []string{"curl", "git", "curl"}},
		func(p banger.BuildProgress) { last = p })
	if err != nil {
		t.Fatal(err)
	}
	if second.ID != first.ID || second.Name != "two" || b.builds.Load() != 1 {
		t.Errorf("second build made %s (%s) with %d builds, want %s", second.ID, second.Name, b.builds.Load(), first.ID)
	}
	if last.Percent != 100 || !strings.Contains(last.Detail, "already") {
		t.Errorf("last report is %+v", last)
	}
}

func TestBuildImage_EqualSystemsMakeOneImage(t *testing.T) {
	f, b := newFakeFixture(t)
	first := f.mustBuild(t, "one", banger.ImageRecipe{})
	if err := f.DeleteImage(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	if again := f.mustBuild(t, "one", banger.ImageRecipe{}); again.ID != first.ID || b.builds.Load() != 2 {
		t.Errorf("built %s and %s of the same system", first.ID, again.ID)
	}
}

func TestBuildImage_AtOnceBuildsARecipeOnce(t *testing.T) {
	f, b := newFakeFixture(t)
	b.hold = make(chan struct{})
	done := make(chan error)
	for range 2 {
		go func() {
			_, err := f.BuildImage(t.Context(), "default", banger.ImageRecipe{}, nil)
			done <- err
		}()
	}
	b.hold <- struct{}{} // a second builder would wait for another one, for ever
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := b.builds.Load(); n != 1 {
		t.Errorf("%d builds, want 1", n)
	}
}

func TestBuildImage_DifferentRecipesDoNotWaitForEachOther(t *testing.T) {
	f, b := newFakeFixture(t)
	b.hold = make(chan struct{})
	done := make(chan error)
	for _, pkg := range []string{"jq", "tree"} {
		go func() {
			_, err := f.BuildImage(t.Context(), pkg, banger.ImageRecipe{Include: []string{pkg}}, nil)
			done <- err
		}()
	}
	started := make(chan struct{}, 2)
	for range 2 { // both are in the builder, or this never ends
		b.hold <- struct{}{}
		started <- struct{}{}
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestBuildImage_ProgressNeverFalls(t *testing.T) {
	f, _ := newFakeFixture(t)
	var reports []banger.BuildProgress
	if _, err := f.BuildImage(t.Context(), "default", banger.ImageRecipe{}, func(p banger.BuildProgress) { reports = append(reports, p) }); err != nil {
		t.Fatal(err)
	}
	for i, p := range reports[1:] {
		if before := reports[i]; p.Percent < before.Percent || p.ElapsedMS < before.ElapsedMS || p.Stage == "" {
			t.Errorf("%+v follows %+v", p, before)
		}
	}
	if last := reports[len(reports)-1]; last.Percent != 100 {
		t.Errorf("last report is %+v", last)
	}
}

func TestBuildImage_AFailureLeavesNothingAndSaysItsCause(t *testing.T) {
	noKernel, twoKernels, noModules := testFiles(), testFiles(), testFiles()
	delete(noKernel, "./boot/vmlinuz-"+testRelease)
	twoKernels["./boot/vmlinuz-2"] = "another"
	delete(noModules, "./usr/lib/modules/"+testRelease+"/modules.dep")
	cause := errors.New("the mirror burns")
	for name, c := range map[string]struct {
		builder *fakeBuilder
		want    string
	}{
		"builder fails":     {&fakeBuilder{system: testSystem(t, testFiles()), err: cause}, "the mirror burns"},
		"no kernel":         {&fakeBuilder{system: testSystem(t, noKernel)}, "kernel"},
		"two kernels":       {&fakeBuilder{system: testSystem(t, twoKernels)}, "another kernel"},
		"no modules":        {&fakeBuilder{system: testSystem(t, noModules)}, "modules of kernel"},
		"stream is cut":     {&fakeBuilder{system: testSystem(t, testFiles())[:300]}, "EOF"},
		"stream is no tar":  {&fakeBuilder{system: []byte(strings.Repeat("?", 4096))}, "tar"},
		"stream is nothing": {&fakeBuilder{}, "kernel"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, c.builder)
			if _, err := f.BuildImage(t.Context(), "default", banger.ImageRecipe{}, nil); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q in it", err, c.want)
			}
			if left := f.leftovers(t); left != "" {
				t.Errorf("left behind: %s", left)
			}
			if images, err := f.ListImages(t.Context()); err != nil || len(images) != 0 {
				t.Errorf("images are %v, %v", images, err)
			}
		})
	}
}

func TestBuildImage_CancelLeavesNothing(t *testing.T) {
	f, b := newFakeFixture(t)
	b.hold = make(chan struct{})
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the user went home")
	_, err := f.BuildImage(ctx, "default", banger.ImageRecipe{}, func(p banger.BuildProgress) {
		if p.Stage == "half" {
			cancel(cause)
		}
	})
	if !errors.Is(err, cause) {
		t.Errorf("error is %v, want %v", err, cause)
	}
	if left := f.leftovers(t); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

func TestBuildImage_RefusesBadNames(t *testing.T) {
	f, _ := newFakeFixture(t)
	for _, name := range []string{"", "-x", "a/b", "a b", strings.Repeat("x", 300)} {
		if _, err := f.BuildImage(t.Context(), name, banger.ImageRecipe{}, nil); banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

func TestBuildImage_RefusesToStartWithoutSpace(t *testing.T) {
	f, b := newFakeFixture(t)
	f.builds.need = space{image: 1 << 60, scratch: 1}
	_, err := f.BuildImage(t.Context(), "default", banger.ImageRecipe{}, nil)
	var e *banger.Error
	if !errors.As(err, &e) || e.Code != banger.CodeMissing || !strings.Contains(e.Message, "disk is full") || e.Hint == "" {
		t.Errorf("error is %v", err)
	}
	if b.builds.Load() != 0 || f.leftovers(t) != "" {
		t.Errorf("%d builds, left behind: %s", b.builds.Load(), f.leftovers(t))
	}
}

func TestRecover_RemovesInterruptedBuildsOnly(t *testing.T) {
	f, _ := newFakeFixture(t)
	dead, err := f.shelf.newFolder()
	if err != nil {
		t.Fatal(err)
	}
	live, err := f.shelf.newFolder()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(dead.makeScratch(), live.makeScratch(), dead.Abandon()); err != nil {
		t.Fatal(err)
	}
	if err := f.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := filepath.Base(live.Path) + " " + filepath.Base(live.scratch)
	if left := f.leftovers(t); left != want {
		t.Errorf("left are %q, want %q", left, want)
	}
}

func TestScratchParent_IsOneThatOthersCanPassThrough(t *testing.T) {
	closed := t.TempDir() // below a directory with mode 0700
	for _, dir := range []string{closed, "", "relative", "/no/such/folder"} {
		t.Setenv("TMPDIR", dir)
		if got := scratchParent(); got != "/var/tmp" {
			t.Errorf("with TMPDIR %q temporary files go to %s", dir, got)
		}
	}
	t.Setenv("TMPDIR", "/tmp/")
	if got := scratchParent(); got != "/tmp" {
		t.Errorf("with TMPDIR /tmp/ temporary files go to %s", got)
	}
}

func TestRecover_BelievesNoScratchThatItCannotHaveMade(t *testing.T) {
	f, _ := newFakeFixture(t)
	precious := filepath.Join(t.TempDir(), "precious")
	if err := os.Mkdir(precious, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{precious, "relative/banger-image-x", precious + "/../banger-image-x/../precious"} {
		b, err := f.shelf.newFolder()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.WriteFile(filepath.Join(b.Path, scratchPart), []byte(path), 0o600), b.Abandon()); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

func TestRecover_FindsImagesThatWereNotRecorded(t *testing.T) {
	f, _ := newFakeFixture(t)
	image := f.mustBuild(t, "default", banger.ImageRecipe{})
	if err := f.store.Images.DeleteImage(t.Context(), image.ID); err != nil {
		t.Fatal(err)
	}
	if err := f.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, err := f.GetImage(t.Context(), string(image.ID))
	if err != nil || found.Name != "" || found.KernelRelease != testRelease {
		t.Errorf("found %+v, %v", found, err)
	}
}

func TestDeleteImage_RefusesWhileAVMNeedsIt(t *testing.T) {
	f, _ := newFakeFixture(t)
	image := f.mustBuild(t, "default", banger.ImageRecipe{})
	vm, err := f.store.VMs.CreateVM(t.Context(), banger.VM{ID: banger.NewVMID(), Name: "needy", ImageID: image.ID, State: banger.VMStopped})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.DeleteImage(t.Context(), "default"); banger.CodeOf(err) != banger.CodeInUse || !strings.Contains(err.Error(), "needy") {
		t.Errorf("error is %v, want one that names the VM", err)
	}
	if _, err := f.Files(t.Context(), image.ID); err != nil {
		t.Errorf("the refused delete did something: %v", err)
	}
	if err := f.store.VMs.DeleteVM(t.Context(), vm.ID); err != nil {
		t.Fatal(err)
	}
	if err := f.DeleteImage(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(f.Paths.Images()); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestDeleteImage_RefusesWhileAVMOfAnotherInstallationNeedsIt(t *testing.T) {
	f, _ := newFakeFixture(t)
	image := f.mustBuild(t, "default", banger.ImageRecipe{})
	theirs := filepath.Join(t.TempDir(), "vms", string(banger.NewVMID()))
	if err := os.MkdirAll(theirs, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // at its creation, and when its daemon starts
		if err := f.Use(image.ID, theirs); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.DeleteImage(t.Context(), "default"); banger.CodeOf(err) != banger.CodeInUse || !strings.Contains(err.Error(), theirs) {
		t.Errorf("error is %v, want one that names the VM's directory", err)
	}
	if _, err := f.Files(t.Context(), image.ID); err != nil {
		t.Errorf("the refused delete did something: %v", err)
	}
	if err := os.RemoveAll(theirs); err != nil {
		t.Fatal(err)
	}
	if err := f.DeleteImage(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	if err := f.Use(image.ID, theirs); banger.CodeOf(err) != banger.CodeCorrupt {
		t.Errorf("an image that is gone is used: %v", err)
	}
}

func TestFiles_NamesWhatIsBrokenAndABuildRepairsIt(t *testing.T) {
	for name, damage := range map[string]func(file string) error{
		"root.ext4":                          os.Remove,
		"vmlinuz":                            func(f string) error { return os.Truncate(f, 1) },
		"packages.txt":                       os.Remove,
		"manifest.json":                      func(f string) error { return os.WriteFile(f, []byte(`{"content":{"format":1}}`), 0o600) },
		"modules/" + testRelease:             os.RemoveAll,
		"modules/" + testRelease + "/kernel": nil, // seen by a build only
	} {
		t.Run(name, func(t *testing.T) {
			f, b := newFakeFixture(t)
			image := f.mustBuild(t, "default", banger.ImageRecipe{})
			file := filepath.Join(f.Paths.Image(image.ID), name)
			if damage == nil {
				if err := os.RemoveAll(file); err != nil {
					t.Fatal(err)
				}
			} else {
				if err := damage(file); err != nil {
					t.Fatal(err)
				}
				_, err := f.Files(t.Context(), image.ID)
				var e *banger.Error
				if !errors.As(err, &e) || e.Code != banger.CodeCorrupt || !strings.Contains(e.Message, name) || !strings.Contains(e.Message, "default") || e.Hint == "" {
					t.Errorf("error is %v", err)
				}
			}
			if again := f.mustBuild(t, "default", banger.ImageRecipe{}); again.ID != image.ID || b.builds.Load() != 2 {
				t.Errorf("rebuilt %s as %s with %d builds", image.ID, again.ID, b.builds.Load())
			}
			if _, err := f.Files(t.Context(), image.ID); err != nil {
				t.Error(err)
			}
			if left := f.leftovers(t); left != "" {
				t.Errorf("left behind: %s", left)
			}
		})
	}
}

func TestGetImage_TellsANewcomerToBuildTheDefault(t *testing.T) {
	f, _ := newFakeFixture(t)
	_, err := f.GetImage(t.Context(), "default")
	var e *banger.Error
	if !errors.As(err, &e) || e.Code != banger.CodeNotFound || !strings.Contains(e.Hint, "banger image build") {
		t.Errorf("error is %v", err)
	}
}

func TestExplainFull_LeavesOtherErrorsAlone(t *testing.T) {
	f, _ := newFakeFixture(t)
	if err := f.builds.need.explain(f.Paths.Images(), syscall.EIO); !errors.Is(err, syscall.EIO) || banger.CodeOf(err) == banger.CodeMissing {
		t.Errorf("got %v", err)
	}
	if err := f.builds.need.explain(f.Paths.Images(), nil); err != nil {
		t.Errorf("got %v", err)
	}
}
