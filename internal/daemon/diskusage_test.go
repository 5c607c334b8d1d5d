//go:build !unit

package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/diskusage"
	"banger/internal/filelock"
)

// usage is what df says now.
func (d *Daemon) usage(t *testing.T) (u banger.DiskUsage, freed map[string]int64, of map[banger.DiskKind]banger.DiskSummary) {
	t.Helper()
	u, err := diskUsage{d}.DiskUsage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	freed, of = map[string]int64{}, map[banger.DiskKind]banger.DiskSummary{}
	for _, r := range u.Reclaimable {
		freed[r.Command] = r.Bytes
	}
	for _, k := range u.Kinds {
		of[k.Kind] = k
	}
	return u, freed, of
}

// taken is what the directories of images and VMs take.
func taken(t *testing.T, d *Daemon) int64 {
	t.Helper()
	tree, err := diskusage.Of(d.parts.Paths.Images(), layersDir(d), downloadsDir(d), d.parts.Paths.VMs())
	if err != nil {
		t.Fatal(err)
	}
	return tree.Bytes()
}

func TestDiskUsage_AnnouncesWhatAPruneFreesThen(t *testing.T) {
	r := newRegistry(t, false)
	base := randomLayer(t, 100<<10)
	r.push(t, "used", imageOf(t, base))
	r.push(t, "free", imageOf(t, base, randomLayer(t, 30<<10)))
	d := newDaemon(t, t.TempDir(), nil)
	used := pull(t, d, r.ref("used"))
	pull(t, d, r.ref("free"))
	vm := banger.VM{ID: banger.NewVMID(), Name: "vm", ImageID: used.ID, State: banger.VMStopped}
	if _, err := d.Store.VMs.CreateVM(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	p := d.parts.Paths
	for path, size := range map[string]int64{
		filepath.Join(downloadsDir(d), "x.partial"):                                            20 << 10,
		filepath.Join(p.VM(vm.ID), "work.img"):                                                 40 << 10,
		filepath.Join(p.VMs(), ".deleted-"+string(banger.NewVMID()), "work.img"):               4 << 10,
		filepath.Join(p.VMTrash(), string(banger.NewVMID())+"-20261201T000000Z", "system.img"): 8 << 10,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 1<<30); err != nil { // sparse
			t.Fatal(err)
		}
	}

	u, freed, of := d.usage(t)
	for kind, want := range map[banger.DiskKind]int{
		banger.DiskImages: 2, banger.DiskLayers: 2, banger.DiskVMs: 1, banger.DiskUnfinished: 2, banger.DiskTrash: 1, banger.DiskKernels: 0,
	} {
		if of[kind].Count != want {
			t.Errorf("%s: %+v, want %d", kind, of[kind], want)
		}
	}
	if shared := of[banger.DiskLayers].SharedBytes; shared < 100<<10 || shared >= of[banger.DiskLayers].UsedBytes {
		t.Errorf("of layers %+v", of[banger.DiskLayers])
	}
	if u.UsedBytes > taken(t, d) || u.UsedBytes < 200<<10 {
		t.Errorf("in use are %d bytes, and the directories take %d", u.UsedBytes, taken(t, d))
	}
	if said := freed["banger vm delete NAME"]; said < 40<<10 || said > 50<<10 {
		t.Errorf("the VM would free %d", said)
	}

	// Who pulls keeps all layers; to look does not wait for that.
	lock, err := filelock.Flock(filepath.Join(layersDir(d), "lock"), unix.LOCK_SH)
	if err != nil {
		t.Fatal(err)
	}
	_, meanwhile, _ := d.usage(t)
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if now := meanwhile["banger image prune"]; now == 0 || now >= freed["banger image prune"]-20<<10 {
		t.Errorf("%d would be freed while an image is pulled, else %d", now, freed["banger image prune"])
	}

	before := taken(t, d)
	did, err := d.Images.PruneImages(t.Context(), banger.ImagePruneRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if now := before - taken(t, d); now != freed["banger image prune"] || did.ReclaimedBytes != now || now < 50<<10 {
		t.Errorf("freed %d, announced %d, reported %d", now, freed["banger image prune"], did.ReclaimedBytes)
	}
	before = taken(t, d)
	if _, err := d.VMs.Trash.EmptyTrash(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := before - taken(t, d); now != freed["banger vm gc"] || now < 8<<10 {
		t.Errorf("freed %d of the trash, announced %d", now, freed["banger vm gc"])
	}
	if _, freed, _ := d.usage(t); freed["banger image prune"] != 0 || freed["banger vm gc"] != 0 {
		t.Errorf("after that: %v", freed)
	}
}
