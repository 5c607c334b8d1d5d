package cli

import (
	"testing"

	"banger"
)

func TestDF_SaysWhatIsUsedAndWhatFreesIt(t *testing.T) {
	f := &fake{disk: banger.DiskUsage{
		UsedBytes: 3 << 20,
		Kinds:     []banger.DiskSummary{{Kind: banger.DiskImages, Count: 1, UsedBytes: 1 << 20}, {Kind: banger.DiskLayers, Count: 2, UsedBytes: 2 << 20, SharedBytes: 512 << 10}},
		Objects:   []banger.DiskObject{{Kind: banger.DiskImages, Name: "w\x1beb", UsedBytes: 1 << 20, Users: []string{"a", "b"}}},
	}}
	const sums = "KIND    COUNT  USED  SHARED\nimages  1      1.0M  0B\nlayers  2      2.0M  512.0K\ntotal   3      3.0M  512.0K\n"
	if out := f.must(t, "df"); out != sums {
		t.Errorf("with nothing to free: %q", out)
	}
	f.disk.Reclaimable = []banger.Reclaimable{{Command: "banger image prune", Count: 2, Bytes: 2048}}
	const objects = "KIND    NAME   USED  NEEDED BY  DELETED BY\nimages  w^[eb  1.0M  a, b       -\n\n"
	const freed = "\nFREES  OBJECTS  COMMAND\n2.0K   2        banger image prune\n"
	if out := f.must(t, "df", "-v"); out != objects+sums+freed {
		t.Errorf("of each: %q", out)
	}
}
