package pid1

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"banger/internal/guestconfig"
)

func TestParameter_IsAWholeWordOfTheKernelsPart(t *testing.T) {
	for cmdline, want := range map[string]bool{
		"console=ttyS0 banger.init=poweroff\n":    true,
		"banger.init=poweroff quiet":              true,
		"console=ttyS0 banger.init=poweroffs":     false,
		"x=banger.init=poweroff":                  false,
		"console=ttyS0 -- banger.init=poweroff\n": false,
		"": false,
	} {
		if got := hasParameter(cmdline, powerOffParameter); got != want {
			t.Errorf("hasParameter(%q) = %v", cmdline, got)
		}
	}
}

func TestParseModules_KeepsTheOrder(t *testing.T) {
	got, err := parseModules([]byte("/ko/virtio_ring.ko\n/ko/virtio.ko\n\n  /ko/last.ko"))
	want := []string{"/ko/virtio_ring.ko", "/ko/virtio.ko", "/ko/last.ko"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	for name, list := range map[string]string{
		"relative path": "ko/virtio.ko\n",
		"too many":      strings.Repeat("/x\n", maxModules+1),
	} {
		if _, err := parseModules([]byte(list)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestHostsFile_ChangesItsOwnLineOnlyAndOnce(t *testing.T) {
	old := "127.0.0.1 localhost\n127.0.1.1\told-name\n10.0.0.1 127.0.1.1 # kept\n192.0.2.7\tmine"
	got := hostsFile([]byte(old), "new-name")
	want := "127.0.0.1 localhost\n10.0.0.1 127.0.1.1 # kept\n192.0.2.7\tmine\n127.0.1.1\tnew-name\n"
	if string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if again := hostsFile(got, "new-name"); string(again) != want {
		t.Errorf("the second time: %q", again)
	}
	if fresh := string(hostsFile(nil, "n")); !strings.Contains(fresh, "127.0.0.1\tlocalhost\n") || !strings.Contains(fresh, "127.0.1.1\tn\n") {
		t.Errorf("without an old file: %q", fresh)
	}
}

func TestWriteEtc_WritesOnlyWhatDiffersAndReplacesLinks(t *testing.T) {
	etc := t.TempDir()
	elsewhere := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(elsewhere, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(etc, "resolv.conf")); err != nil {
		t.Fatal(err)
	}
	config := guestconfig.Config{Hostname: "tester", Network: guestconfig.Network{DNS: []string{"192.0.2.1", "192.0.2.2"}}}
	if err := writeEtc(etc, config); err != nil {
		t.Fatal(err)
	}
	before := make(map[string]os.FileInfo)
	for name, want := range map[string]string{
		"hostname":    "tester\n",
		"resolv.conf": "nameserver 192.0.2.1\nnameserver 192.0.2.2\n",
		"hosts":       string(hostsFile(nil, "tester")),
	} {
		got, err := os.ReadFile(filepath.Join(etc, name))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
		before[name], _ = os.Lstat(filepath.Join(etc, name))
	}
	if theirs, _ := os.ReadFile(elsewhere); string(theirs) != "theirs" {
		t.Errorf("the file behind the link was changed to %q", theirs)
	}
	if err := writeEtc(etc, config); err != nil {
		t.Fatal(err)
	}
	for name, old := range before {
		if now, err := os.Lstat(filepath.Join(etc, name)); err != nil || !os.SameFile(old, now) {
			t.Errorf("%s was written again although it fits", name)
		}
	}
}

func TestApplets_LeaveTheUsersOwnFilesAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sbin")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "reboot"), []byte("mine"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // each boot does it
		if err := linkApplets(dir, "/agent"); err != nil {
			t.Fatal(err)
		}
	}
	if mine, _ := os.ReadFile(filepath.Join(dir, "reboot")); string(mine) != "mine" {
		t.Errorf("reboot was replaced: %q", mine)
	}
	for _, name := range []string{"poweroff", "halt"} {
		if target, err := os.Readlink(filepath.Join(dir, name)); err != nil || target != "/agent" || !IsApplet(name) {
			t.Errorf("%s: %q, %v", name, target, err)
		}
	}
}

func TestTimeline_TellsEachStepAndTheSum(t *testing.T) {
	steps := timeline{{"kernel", 1200 * time.Millisecond}, {"modules", 1500 * time.Millisecond}, {"server", 1650 * time.Millisecond}}
	want := "450 ms after the kernel (kernel 1200 ms, modules 300 ms, server 150 ms)"
	if got := steps.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// inputEvent encodes a struct input_event.
func inputEvent(kind, code uint16, value uint32) string {
	event := make([]byte, 16, inputEventBytes)
	event = binary.NativeEndian.AppendUint16(event, kind)
	event = binary.NativeEndian.AppendUint16(event, code)
	return string(binary.NativeEndian.AppendUint32(event, value))
}

func TestPowerButton_OnlyItsPressCounts(t *testing.T) {
	other := inputEvent(0, 0, 0) + inputEvent(eventKey, keyPower, 0) + inputEvent(eventKey, 30, 1) + inputEvent(2, keyPower, 1)
	for name, test := range map[string]struct {
		events string
		want   bool
	}{
		"other events":       {other, false},
		"pressed after them": {other + inputEvent(eventKey, keyPower, keyPressed), true},
		"cut off":            {inputEvent(eventKey, keyPower, keyPressed)[:23], false},
	} {
		device := iotest.OneByteReader(strings.NewReader(test.events))
		if got := waitForPowerKey(device); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What mount(2) takes of options is one page; of fewer disks there is less.
func TestOverlayOptions_OfTheMostDisksFitIntoAPage(t *testing.T) {
	options := overlayOptions(128, filepath.Join(systemMount, overlayDir, "upper"), filepath.Join(systemMount, overlayDir, "work"))
	if len(options) >= 4096 {
		t.Errorf("they have %d bytes", len(options))
	}
	if one := overlayOptions(1, "u", "w"); one != "lowerdir=/disks/image,upperdir=u,workdir=w" {
		t.Errorf("of one disk: %s", one)
	}
	if !strings.HasPrefix(options, "lowerdir=/disks/image-127:/disks/image-126:") {
		t.Errorf("the uppermost is not the first: %s", options)
	}
}

func TestMakeDirectories_GivesAnEmptyRootWhatItNeedsAndLeavesTheRest(t *testing.T) {
	root := t.TempDir()
	elsewhere := t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(root, "run")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "dev"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("var/etc", filepath.Join(root, "etc")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "proc"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // each boot does it
		if err := makeDirectories(root); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]os.FileMode{
		"proc": os.ModeDir | 0o700, "sys": os.ModeDir | 0o555, "dev": os.ModeDir | 0o755, "run": os.ModeDir | 0o755,
		"root": os.ModeDir | 0o700, "tmp": os.ModeDir | os.ModeSticky | 0o777, "etc": os.ModeSymlink | 0o777,
	} {
		if info, err := os.Lstat(filepath.Join(root, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", name, info, err, want)
		}
	}
	if entries, _ := os.ReadDir(elsewhere); len(entries) > 0 {
		t.Errorf("%v are where the link led", entries)
	}
}
