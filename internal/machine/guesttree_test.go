package machine

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/ext4fs"
	"banger/internal/transfer"
)

// imageOf makes an ext4 of a directory and returns its reader.
func imageOf(t *testing.T, dir string) *ext4fs.FS {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-d", dir, image, "64M").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	fsys, err := ext4fs.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	return fsys
}

func sh(t *testing.T, dir, script string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// A copy out of disks is what the kernel shows of the same disks: whiteouts, opaque directories,
// layers, homes.
func TestGuestTree_IsWhatTheKernelWouldShow(t *testing.T) {
	top := t.TempDir()
	sh(t, top, `mkdir -p low/etc low/usr/lib low/gone low/opaque low/root low/home/node middle/etc middle/usr/lib work/.local/state/banger/homes/1000 merged w
		printf 'root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n' >low/etc/passwd
		echo low >low/etc/a; echo low >low/etc/b; echo low >low/gone/x; echo low >low/opaque/old; echo image >low/root/image; ln -s usr/lib low/lib
		echo lib >low/usr/lib/so; ln low/usr/lib/so low/usr/lib/so.1; echo image >low/home/node/image; chown -R 1000:1000 low/home/node
		echo middle >middle/etc/b; ln -s /etc/passwd middle/usr/lib/absolute; chmod 4755 middle/etc/b
		echo mine >work/notes; truncate -s 3M work/holes; echo end >>work/holes; echo node >work/.local/state/banger/homes/1000/node
		mkfifo work/fifo
		mkdir -p system/overlay-1/upper system/overlay-1/work`)
	overlay := filepath.Join(top, "merged")
	options := "index=off,metacopy=off,redirect_dir=off,lowerdir=" + top + "/middle:" + top + "/low,upperdir=" + top + "/system/overlay-1/upper,workdir=" + top + "/system/overlay-1/work"
	if err := unix.Mount("overlay", overlay, "overlay", 0, options); err != nil {
		t.Fatalf("cannot mount an overlay (this test needs root): %v", err)
	}
	mounted := true
	defer func() {
		if mounted {
			_ = unix.Unmount(overlay, unix.MNT_DETACH)
		}
	}()
	sh(t, overlay, `rm -r gone; rm etc/a; rm -r opaque; mkdir opaque; echo new >opaque/new; echo changed >>etc/b; mkdir -p srv/deep; echo 1 >srv/deep/f; setfattr -n user.x -v y srv/deep/f || true`)
	// What the guest's user would see.
	sh(t, top, `mkdir seen; cp -a merged/. seen/; rm -r seen/root seen/home/node; cp -a work seen/root; cp -a work/.local/state/banger/homes/1000 seen/home/node; rm seen/root/fifo`)
	if err := unix.Unmount(overlay, 0); err != nil {
		t.Fatal(err)
	}
	mounted = false
	tree, err := newGuestTree([]fs.FS{imageOf(t, top+"/middle"), imageOf(t, top+"/low")}, imageOf(t, top+"/system"), imageOf(t, top+"/work"))
	if err != nil {
		t.Fatal(err)
	}
	copyOut := func(from, to string) (transfer.Result, error) {
		return copyFrom(t, tree, from, to)
	}
	result, err := copyOut("/.", top+"/copy")
	if err != nil || len(result.Problems) != 1 || string(result.Problems[0].Path) != "root/fifo" {
		t.Fatalf("%+v, %v", result, err)
	}
	// lost+found is mkfs's, and not in the directory of which the disk was made.
	sh(t, top, `find copy -name lost+found -exec rm -r {} +; diff -r --no-dereference seen copy`)
	var st unix.Stat_t
	if err := unix.Stat(top+"/copy/root/holes", &st); err != nil || st.Size != 3<<20+4 || st.Blocks*512 > 1<<20 {
		t.Errorf("the holes take %d bytes of %d, %v", st.Blocks*512, st.Size, err)
	}
	for from, want := range map[string]string{"/lib/so.1": "lib\n", "/usr/lib/absolute/": "", "/root/notes": "mine\n", "/lib/../../root/notes": "mine\n", "/home/node/node": "node\n"} {
		to := filepath.Join(t.TempDir(), "f")
		_, err := copyOut(from, to)
		if data, _ := os.ReadFile(to); string(data) != want || (err == nil) != (want != "") {
			t.Errorf("%s is %q, %v", from, data, err)
		}
	}
	if _, err := copyOut("/etc/a", top+"/none"); !errors.Is(err, fs.ErrNotExist) && !strings.Contains(err.Error(), "not exist") {
		t.Errorf("what was removed: %v", err)
	}
}

// copyFrom copies out of a tree.
func copyFrom(t *testing.T, tree transfer.Tree, from, to string) (transfer.Result, error) {
	t.Helper()
	server := transfer.Server{Read: func(r transfer.Request, f func(context.Context, *transfer.Opened) error) error {
		o, err := transfer.OpenTree(tree, string(r.Path), r.Follow)
		if err != nil {
			return err
		}
		defer o.Close()
		return f(t.Context(), o)
	}}
	ours, theirs := net.Pipe()
	var serving sync.WaitGroup
	defer serving.Wait()
	serving.Go(func() {
		defer theirs.Close()
		_ = server.Serve(t.Context(), theirs)
	})
	remote := transfer.Connect(t.Context(), ours)
	defer remote.Close()
	return remote.Fetch(t.Context(), transfer.Request{Path: banger.ByteString(from)}, "", to, &transfer.Progress{}, nil)
}
