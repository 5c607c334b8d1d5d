package storetest

import (
	"strings"
	"testing"

	"banger"
)

func testImageName(t *testing.T, s Store) {
	old := putImage(t, s, "old", "default")
	since := revision(t, s)
	again := putImage(t, s, "old", "default")
	wantEqual(t, "image put again", again, old)
	wantEqual(t, "revision after that", revision(t, s), since)
	young := putImage(t, s, "new", "default")
	images, err := s.ListImages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	old.Name, old.Revision = "", since+1
	wantEqual(t, "images", images, []banger.Image{old, young})
	putImage(t, s, "third", "default")
	putImage(t, s, "old", "default")
	images, err = s.ListImages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range images {
		names = append(names, string(i.ID)+"="+i.Name)
	}
	wantEqual(t, "names", names, []string{"old=default", "new=", "third="})
}

func testImageNames(t *testing.T, s Store) {
	ctx := t.Context()
	put := func(id banger.ImageID, name string, tags ...string) {
		t.Helper()
		if _, err := s.PutImage(ctx, banger.Image{ID: id, Name: name, Tags: tags}); err != nil {
			t.Fatal(err)
		}
	}
	names := func(want ...string) {
		t.Helper()
		images, err := s.ListImages(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, i := range images {
			got = append(got, string(i.ID)+"="+strings.Join(i.Names(), ","))
		}
		wantEqual(t, "names", got, want)
	}
	put("a", "node:22")
	put("a", "node:lts") // keeps what it has
	names("a=node:lts,node:22")
	put("b", "node:24", "latest")
	put("a", "", "latest", "mine")
	names("a=node:lts,latest,mine,node:22", "b=node:24")
	put("b", "node:lts") // a name of a is the name of b; another one takes its place
	names("a=latest,mine,node:22", "b=node:lts,node:24")
	if _, err := s.RemoveImageName(ctx, "a", "node:22"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RemoveImageName(ctx, "b", "not its"); err != nil {
		t.Fatal(err)
	}
	names("a=latest,mine", "b=node:lts,node:24")
	_, err := s.RemoveImageName(ctx, "c", "x")
	wantCode(t, err, banger.CodeNotFound, "c")
}

func testUnusedImages(t *testing.T, s Store) {
	used, free := putImage(t, s, "used", "used"), putImage(t, s, "free", "free")
	vm := newVM("one")
	vm.ImageID = used.ID
	if _, err := s.CreateVM(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	unused, err := s.ListUnusedImages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "unused images", unused, []banger.Image{free})
}

func testImageInUse(t *testing.T, s Store) {
	image := putImage(t, s, "img", "default")
	var vms []banger.VM
	for _, name := range []string{"one", "two"} {
		vm := newVM(name)
		vm.ImageID = image.ID
		vm, err := s.CreateVM(t.Context(), vm)
		if err != nil {
			t.Fatal(err)
		}
		vms = append(vms, vm)
	}
	wantCode(t, s.DeleteImage(t.Context(), image.ID), banger.CodeInUse, "one, two")
	for _, vm := range vms {
		if err := s.DeleteVM(t.Context(), vm.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DeleteImage(t.Context(), image.ID); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.DeleteImage(t.Context(), image.ID), banger.CodeNotFound, "img")
}
