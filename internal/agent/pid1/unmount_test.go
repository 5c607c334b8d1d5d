package pid1

import (
	"os"
	"slices"
	"testing"
)

func TestMountinfo_ReadsPathsWithBlanksAndOptionalFields(t *testing.T) {
	const info = `22 1 0:21 / / rw,noatime - overlay overlay rw,lowerdir=/x
25 22 254:32 / /root rw,relatime shared:1 master:2 - ext4 /dev/vdc rw
31 22 8:1 / /mnt/with\040blank\134and\011more rw - xfs /dev/sda1 rw
a line that nobody understands
40 22 0:5 / /dev rw
`
	want := []mounted{{"/", "overlay"}, {"/root", "ext4"}, {"/mnt/with blank\\and\tmore", "xfs"}}
	if got := parseMountinfo([]byte(info)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMountinfo_ReadsThisMachines(t *testing.T) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	list := parseMountinfo(data)
	if !slices.ContainsFunc(list, func(m mounted) bool { return m.target == "/" }) ||
		!slices.Contains(list, mounted{"/proc", "proc"}) {
		t.Errorf("no root or no /proc in %q", list)
	}
}

func TestHoldsData_LeavesOutWhatIsInMemoryOnly(t *testing.T) {
	for _, fstype := range []string{"ext4", "overlay", "xfs", "vfat", "fuse.sshfs"} {
		if !holdsData(fstype) {
			t.Errorf("%s would not be written out", fstype)
		}
	}
	for _, fstype := range []string{"proc", "tmpfs", "rootfs", "cgroup2"} {
		if holdsData(fstype) {
			t.Errorf("%s would be remounted", fstype)
		}
	}
}
