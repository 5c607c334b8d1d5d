package bench

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"banger/test/installation"
)

// importGoal is how many times as fast an import has to be as umoci and mkfs.ext4.
const importGoal = 3

// newImages makes an installation whose images are its own, and on the disk of the
// repository, which is not memory.
func newImages(b *testing.B, binaries installation.Binaries) *installation.Installation {
	b.Helper()
	cache, err := filepath.Abs("../.cache")
	if err == nil {
		err = os.MkdirAll(cache, 0o755)
	}
	data := ""
	if err == nil {
		data, err = os.MkdirTemp(cache, "images-")
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(data) })
	i := installation.New(b, binaries)
	i.Setenv("XDG_DATA_HOME", data)
	i.MustRun(b, "image", "list") // starts the daemon
	return i
}

// BenchmarkImport measures the time from an OCI layout on the disk to file systems that a VM
// boots from, beside umoci unpack --rootless and then mkfs.ext4 -d.
func BenchmarkImport(b *testing.B) {
	for b.Loop() {
		dir := layoutOf(b, bigImage(b))
		i := newImages(b, bin)
		work := i.Paths().Data
		var peaks []float64
		m := &measure{Name: "Import", Title: "An OCI layout becomes what a VM boots from", Place: "host", Unit: "ns/op", Series: alternate(b, 3,
			contender{name: "banger", do: func(b *testing.B, _ int) time.Duration {
				pid := i.DaemonPID(b)
				resetPeak(b, pid)
				took := timed(b, func() error { i.MustRun(b, "image", "import", dir+":x", "--name", "big"); return nil })
				peaks = append(peaks, memory(b, pid, "VmHWM"))
				i.MustRun(b, "image", "delete", "big")
				return took
			}},
			contender{name: "umoci+mkfs", do: func(b *testing.B, _ int) time.Duration {
				bundle, disk := filepath.Join(work, "bundle"), filepath.Join(work, "umoci.ext4")
				took := timed(b, func() error {
					command(b, ".", "umoci", "unpack", "--rootless", "--image", dir+":x", bundle)
					command(b, ".", "truncate", "-s", "4G", disk)
					command(b, ".", "mkfs.ext4", "-q", "-F", "-d", filepath.Join(bundle, "rootfs"), disk)
					command(b, ".", "sync", disk) // as an import is durable
					return nil
				})
				command(b, ".", "rm", "-rf", bundle, disk)
				return took
			}},
		)}
		m.fewer("an OCI layout to file systems", m.of("banger", 0.5), m.of("umoci+mkfs", 0.5), importGoal)
		m.record(b)
		room := &measure{Name: "ImportMemory", Title: "The daemon's memory while it imports, and while the build of commit " + beforeImages + " builds its image",
			Place: "host", Unit: "B", Series: []series{{"import", peaks}, {"build", []float64{peakOfBuild(b)}}}}
		limit := room.of("build", 1)
		limit.Value += importRoom
		room.atMost("peak memory of an import, against that of a build and 64 MiB", room.of("import", 1), limit, 1)
		room.record(b)
	}
}

// importRoom is how much more memory an import may take than a build.
const importRoom = 64 << 20

// pullAgainGoal is what part of the first pull one of another image with its base may take.
const pullAgainGoal = 5

// BenchmarkPullAgain measures the pull of an image, and then that of another one that has all
// its layers and one more, from a registry in this process.
func BenchmarkPullAgain(b *testing.B) {
	for b.Loop() {
		server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
		defer server.Close()
		host := strings.TrimPrefix(server.URL, "http://")
		base := bigImage(b)
		layers, err := base.Layers()
		if err != nil {
			b.Fatal(err)
		}
		push(b, host+"/base", base)
		push(b, host+"/app", imageOf(b, append(layers, layerOf(b, "app", 1, newWords(3), nil))...))
		i := newImages(b, bin)
		pull := func(image string) func(b *testing.B, n int) time.Duration {
			return func(b *testing.B, _ int) time.Duration {
				return timed(b, func() error { i.MustRun(b, "image", "pull", host+"/"+image); return nil })
			}
		}
		m := &measure{Name: "PullAgain", Title: "The pull of an image, and of one that shares its base", Place: "host", Unit: "ns/op",
			Series: []series{{Peer: "first"}, {Peer: "second"}}}
		for n := range 3 {
			for at, image := range []string{"base", "app"} {
				m.Series[at].Samples = append(m.Series[at].Samples, float64(pull(image)(b, n)))
			}
			i.MustRun(b, "image", "delete", host+"/app")
			i.MustRun(b, "image", "delete", host+"/base")
		}
		m.fewer("second pull, of an image that shares its base", m.of("second", 0.5), m.of("first", 0.5), pullAgainGoal)
		m.record(b)
	}
}

func push(b *testing.B, ref string, image v1.Image) {
	b.Helper()
	parsed, err := name.ParseReference(ref)
	if err == nil {
		err = remote.Write(parsed, image)
	}
	if err != nil {
		b.Fatal(err)
	}
}
