// Package debiantest makes Debian archives for tests and serves them: signed, with packages that
// have a kernel and modules.
package debiantest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"banger/internal/debian"
)

// Package is a package of an archive.
type Package struct {
	Name, Version, Depends string
	Files                  map[string][]byte // by their paths from the root directory
}

// Archive is a server with archives, each in a directory of its own: debian and debian-security
// stand for Debian's. What spoils it holds for files whose URLs contain a text, one at a time.
type Archive struct {
	*httptest.Server
	ValidUntil time.Time // of all suites

	t       testing.TB
	key     *openpgp.Entity
	keyring string

	mu       sync.Mutex           // guards the rest
	suites   map[string][]Package // by DIRECTORY/dists/NAME
	names    map[string]string    // that a suite has instead of its own
	replaced map[string][]byte
	spoiled  string
	how      func(data []byte) []byte // nil: the file is not there
	asked    []string
}

// New returns an archive without packages.
func New(t testing.TB) *Archive {
	a := &Archive{
		t: t, ValidUntil: time.Now().Add(time.Hour), suites: map[string][]Package{}, names: map[string]string{}, replaced: map[string][]byte{},
		keyring: filepath.Join(t.TempDir(), "keyring.gpg"),
	}
	a.key = newKey(t)
	f, err := os.Create(a.keyring)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := a.key.Serialize(f); err != nil {
		t.Fatal(err)
	}
	a.Server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.Server.Close)
	return a
}

func newKey(t testing.TB) *openpgp.Entity {
	key, err := openpgp.NewEntity("Archive", "test", "archive@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Archives reads the archive as if it were Debian's.
func (a *Archive) Archives() debian.Archives {
	return debian.Archives{Keyrings: []string{a.keyring}, Mirror: a.URL + "/debian", Security: a.URL + "/debian-security", Architecture: "amd64"}
}

// Add adds a package to a suite of the archive in a directory.
func (a *Archive) Add(dir, suite string, p Package) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := dir + "/dists/" + suite
	a.suites[at] = append(a.suites[at], p)
}

// Asked returns the paths that were asked for since the last time.
func (a *Archive) Asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	asked := a.asked
	a.asked = nil
	return asked
}

// SignWithAnotherKey has the archive signed by a key that nobody knows.
func (a *Archive) SignWithAnotherKey() { a.key = newKey(a.t) }

// Rename has a suite say that it is another one.
func (a *Archive) Rename(suite, other string) { a.names[suite] = other }

// Replace serves something else for the file whose path ends so.
func (a *Archive) Replace(suffix string, data []byte) { a.replaced[suffix] = data }

// Spoil has a file changed, Cut breaks it off, Lengthen adds to it, Hide removes it.
func (a *Archive) Spoil(file string) {
	a.spoil(file, func(data []byte) []byte { return append([]byte{data[0] ^ 1}, data[1:]...) })
}

// Cut breaks a file off: see Spoil.
func (a *Archive) Cut(file string) {
	a.spoil(file, func(data []byte) []byte { return data[:len(data)/2] })
}

// Lengthen adds to a file: see Spoil.
func (a *Archive) Lengthen(file string) {
	a.spoil(file, func(data []byte) []byte { return append(slices.Clone(data), 'x') })
}

// Hide removes a file: see Spoil.
func (a *Archive) Hide(file string) { a.spoil(file, nil) }

func (a *Archive) spoil(file string, how func([]byte) []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spoiled, a.how = file, how
}

// serve answers a request.
func (a *Archive) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	name := strings.TrimPrefix(r.URL.Path, "/")
	a.asked = append(a.asked, name)
	data, ok := a.file(name)
	for suffix, other := range a.replaced {
		if strings.HasSuffix(name, suffix) {
			data = other
		}
	}
	length := len(data)
	if a.spoiled != "" && strings.Contains(name, a.spoiled) {
		if a.how == nil {
			ok = false
		} else if data = a.how(data); len(data) > length {
			length = len(data)
		}
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(length)) // of one that is cut off, too
	_, _ = w.Write(data)
}

// file returns a file of an archive.
func (a *Archive) file(name string) ([]byte, bool) {
	for at, packages := range a.suites {
		dir, suite, _ := strings.Cut(at, "/dists/")
		switch name {
		case at + "/InRelease":
			return a.release(suite, packages), true
		case at + "/main/binary-amd64/Packages.gz":
			return a.index(packages), true
		}
		for _, p := range packages {
			if name == dir+"/"+p.filename() {
				return p.deb(a.t), true
			}
		}
	}
	return nil, false
}

func (a *Archive) release(suite string, packages []Package) []byte {
	name := suite
	if other, ok := a.names[suite]; ok {
		name = other
	}
	index := a.index(packages)
	var signed bytes.Buffer
	w, err := clearsign.Encode(&signed, a.key.PrivateKey, nil)
	if err != nil {
		a.t.Error(err)
		return nil
	}
	fmt.Fprintf(w, "Suite: %s\nCodename: %[1]s\nValid-Until: %s\nSHA256:\n %x %d main/binary-amd64/Packages.gz\n",
		name, a.ValidUntil.UTC().Format("Mon, 02 Jan 2006 15:04:05 MST"), sha256.Sum256(index), len(index))
	if err := w.Close(); err != nil {
		a.t.Error(err)
	}
	return signed.Bytes()
}

func (a *Archive) index(packages []Package) []byte {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	for _, p := range packages {
		deb := p.deb(a.t)
		fmt.Fprintf(z, "Package: %s\nVersion: %s\nArchitecture: amd64\nDepends: %s\nInstalled-Size: 1\nFilename: %s\nSize: %d\nSHA256: %x\nDescription: x\n more\n\n",
			p.Name, p.Version, p.Depends, p.filename(), len(deb), sha256.Sum256(deb))
	}
	if err := z.Close(); err != nil {
		a.t.Error(err)
	}
	return packed.Bytes()
}

func (p Package) filename() string {
	return path.Join("pool", p.Name[:1], p.Name+"_"+p.Version+"_amd64.deb")
}

// deb returns the package as a file, deb(5).
func (p Package) deb(t testing.TB) []byte {
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range p.Files {
			if !yield(name) {
				return
			}
		}
	}) {
		if err := w.WriteHeader(&tar.Header{Name: "./" + name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(p.Files[name]))}); err != nil {
			t.Error(err)
		}
		if _, err := w.Write(p.Files[name]); err != nil {
			t.Error(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	var deb bytes.Buffer
	deb.WriteString("!<arch>\n")
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar", []byte("odd")}, {"data.tar", files.Bytes()}} {
		fmt.Fprintf(&deb, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.data))
		deb.Write(m.data)
		if len(m.data)%2 == 1 {
			deb.WriteByte('\n')
		}
	}
	return deb.Bytes()
}
