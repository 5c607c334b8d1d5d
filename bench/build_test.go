package bench

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"banger/internal/files"
	"banger/test/installation"
)

// beforeImages is the last commit whose default image had no more than certificates, ip and ps.
const beforeImages = "9caa7ef"

// buildGoal is how many times as long the default image may take to build.
const buildGoal = 1.3

// BenchmarkBuild measures the build of the default image beside that of the commit before it
// had tools, both with their packages from one cache.
func BenchmarkBuild(b *testing.B) {
	for b.Loop() {
		packages := packageCache(b)
		now, old := newBuilder(b, bin, packages), newBuilder(b, buildOfBefore(b), packages)
		run := func(i *installation.Installation) func(b *testing.B, n int) time.Duration {
			return func(b *testing.B, _ int) time.Duration { return buildOnce(b, i) }
		}
		m := &measure{Name: "Build", Title: "The default image is built, from a warm cache of packages", Place: "host", Unit: "ns/op", Series: alternate(b, 3,
			contender{name: "banger", do: run(now)}, contender{name: "before", do: run(old)})}
		m.atMost("build of the default image, against one without tools", m.of("banger", 0.5), m.of("before", 0.5), buildGoal)
		m.record(b)
	}
}

// buildOfBefore builds the programs of that commit.
func buildOfBefore(b *testing.B) installation.Binaries {
	b.Helper()
	tree, dir := treeOf(b, beforeImages), b.TempDir()
	command(b, tree, "go", "build", "-trimpath", "-o", dir+"/", "./cmd/banger")
	command(b, tree, "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-ldflags=-s -w", "-o", dir+"/", "./cmd/banger-agent", "./cmd/banger-shim")
	return installation.Binaries(dir)
}

func newBuilder(b *testing.B, binaries installation.Binaries, packages string) *installation.Installation {
	i := newImages(b, binaries)
	i.MustRun(b, "daemon", "stop")
	i.Setenv("http_proxy", packages)
	i.MustRun(b, "image", "list")
	return i
}

// buildOnce builds the image and removes it.
func buildOnce(b *testing.B, i *installation.Installation) time.Duration {
	took := timed(b, func() error { i.MustRun(b, "image", "build"); return nil })
	i.MustRun(b, "image", "delete", "default")
	return took
}

// peakOfBuild returns the memory of the daemon of that commit when it builds its image.
func peakOfBuild(b *testing.B) float64 {
	i := newBuilder(b, buildOfBefore(b), packageCache(b))
	pid := i.DaemonPID(b)
	resetPeak(b, pid)
	buildOnce(b, i)
	return memory(b, pid, "VmHWM")
}

// packageCache serves the packages of Debian as a proxy, each fetched once, and returns its
// URL. What it has is kept in .cache of the repository.
func packageCache(b *testing.B) string {
	b.Helper()
	dir, err := filepath.Abs("../.cache/packages")
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		b.Fatal(err)
	}
	var one sync.Mutex // whoever fetches
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.Sum256([]byte(r.URL.String()))
		path := filepath.Join(dir, hex.EncodeToString(sum[:]))
		one.Lock()
		defer one.Unlock()
		if _, err := os.Stat(path); err != nil {
			status, err := fetchPackage(r, path)
			if err != nil || status != http.StatusOK {
				if status == 0 {
					status = http.StatusBadGateway
				}
				w.WriteHeader(status)
				return
			}
		}
		http.ServeFile(w, r, path)
	}))
	b.Cleanup(s.Close)
	return s.URL
}

// maxPackageBytes bounds what is fetched at once.
const maxPackageBytes = 1 << 30

// fetchPackage has what a request asks for in a file.
func fetchPackage(r *http.Request, path string) (status int, err error) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, r.URL.String(), nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return res.StatusCode, nil
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxPackageBytes))
	if err != nil {
		return 0, err
	}
	return res.StatusCode, files.Write(path, data, 0o644)
}
