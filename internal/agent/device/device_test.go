package device

import (
	"context"
	"errors"
	"maps"
	"os"
	"testing"
	"testing/fstest"
)

var sysfs = fstest.MapFS{
	"block/loop0/size":                 {Data: []byte("0\n")},
	"block/vda/serial":                 {Data: []byte("image-x")},
	"block/vdb/serial":                 {Data: []byte("image\n")},
	"class/virtio-ports/vport1p1/name": {Data: []byte("org.example.other\n")},
	"class/virtio-ports/vport1p2/name": {Data: []byte("org.banger.ready\n")},
	"class/net/eth0/address":           {Data: []byte("52:54:00:12:34:56\n")},
}

func TestFind_MatchesTheWholeNameOnly(t *testing.T) {
	for name, test := range map[string]struct {
		find func() (string, bool)
		want string
	}{
		"port":            {Port(sysfs, "org.banger.ready"), "/dev/vport1p2"},
		"interface":       {Interface(sysfs, "eth0"), "eth0"},
		"no bus at all":   {Port(fstest.MapFS{}, "org.banger.ready"), ""},
		"no such network": {Interface(sysfs, "eth1"), ""},
	} {
		got, ok := test.find()
		if ok != (test.want != "") || ok && got != test.want {
			t.Errorf("%s: %q, %v; want %q", name, got, ok, test.want)
		}
	}
}

func TestDisks_AreThoseWithASerialNumber(t *testing.T) {
	want := map[string]string{"image-x": "/dev/vda", "image": "/dev/vdb"}
	if got := Disks(sysfs); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// newWatcher returns a watcher that hears what is written to the pipe, in place
// of the kernel.
func newWatcher(t *testing.T) (*Watcher, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return &Watcher{socket: r, buffer: make([]byte, maxUeventBytes)}, w
}

func TestWait_LooksAgainAfterEachAnnouncement(t *testing.T) {
	watcher, kernel := newWatcher(t)
	looked := 0
	path, err := watcher.Wait(t.Context(), func() (string, bool) {
		looked++
		if _, err := kernel.WriteString("add@/devices/x"); err != nil {
			t.Fatal(err)
		}
		return "/dev/x", looked == 3
	})
	if err != nil || path != "/dev/x" {
		t.Errorf("got %q, %v", path, err)
	}
}

func TestWait_EndsWithItsContextAndCanBeUsedAgain(t *testing.T) {
	watcher, _ := newWatcher(t)
	cause := errors.New("too long")
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := watcher.Wait(ctx, func() (string, bool) {
		cancel(cause) // after it has looked, while it listens
		return "", false
	})
	if !errors.Is(err, cause) {
		t.Errorf("ended with %v, want the context's cause", err)
	}
	path, err := watcher.Wait(t.Context(), func() (string, bool) { return "/dev/y", true })
	if err != nil || path != "/dev/y" {
		t.Errorf("afterwards: %q, %v", path, err)
	}
}

func TestWatch_ListensToTheKernel(t *testing.T) {
	watcher, err := Watch()
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	ctx, cancel := context.WithCancel(t.Context())
	_, err = watcher.Wait(ctx, func() (string, bool) { cancel(); return "", false })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
