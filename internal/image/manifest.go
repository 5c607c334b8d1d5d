package image

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"banger"
	"banger/internal/files"
	"banger/internal/kmod"
)

// The names in an image's directory.
const (
	manifestName = "manifest.json"
	rootName     = "root.ext4"
	kernelName   = kmod.KernelName
	modulesName  = kmod.ModulesName
	packagesName = "packages.txt"
)

// manifestFormat is the version of the layout. maxManifestBytes is far more than
// a manifest ever has.
const (
	manifestFormat   = 1
	maxManifestBytes = 4 << 20
)

// manifest is manifest.json.
type manifest struct {
	CreatedAt time.Time    `json:"created_at"`
	Source    string       `json:"source,omitempty"` // of an image from elsewhere
	Content   content      `json:"content"`
	Layers    []layerFacts `json:"layers,omitempty"` // of Content.OCI, in its order
}

// content is what an image is: its digest is the image's id. Nothing in it
// depends on when or where it was built.
type content struct {
	Format        int                  `json:"format"`
	Recipe        banger.ImageRecipe   `json:"recipe"` // as given, in normal form
	RecipeDigest  string               `json:"recipe_digest"`
	KernelRelease string               `json:"kernel_release"`
	Packages      int                  `json:"packages"`
	Files         map[string]fileFacts `json:"files"`         // by name: root.ext4, vmlinuz, packages.txt
	Modules       treeFacts            `json:"modules"`       // all of modules/
	OCI           *ociContent          `json:"oci,omitempty"` // of an image from elsewhere, which has nothing of the above but the format
}

// What identifies a file, and all files of a directory.
type (
	fileFacts = files.Facts
	treeFacts = files.TreeFacts
)

// id returns the id of an image with this content: 100 bits of its SHA-256.
func (c content) id() (banger.ImageID, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return banger.ImageID(strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:20]), nil
}

// image returns the record of an image, without a name.
func (m manifest) image(id banger.ImageID) banger.Image {
	c := m.Content
	i := banger.Image{
		ID: id, Recipe: c.Recipe, RecipeDigest: c.RecipeDigest, KernelRelease: c.KernelRelease,
		SizeBytes: c.Files[rootName].Size, Packages: c.Packages, CreatedAt: m.CreatedAt, OCI: m.oci(),
	}
	for _, l := range m.Layers {
		i.SizeBytes += l.Size
	}
	return i
}

func (m manifest) modulesDir(dir string) string {
	return filepath.Join(dir, modulesName, m.Content.KernelRelease)
}

// readManifest reads the manifest in dir and checks it against the id.
func readManifest(dir string, id banger.ImageID) (manifest, error) {
	var m manifest
	f, err := os.Open(filepath.Join(dir, manifestName))
	if err != nil {
		return m, missingFile(manifestName, err)
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxManifestBytes)).Decode(&m); err != nil {
		return m, fmt.Errorf("its file %s cannot be read: %w", manifestName, err)
	}
	switch {
	case m.Content.Format == manifestFormat && m.Content.OCI == nil:
	case m.Content.Format == ociFormat && m.Content.OCI != nil:
	default:
		return m, fmt.Errorf("its file %s has format %d; this banger knows %d and %d", manifestName, m.Content.Format, manifestFormat, ociFormat)
	}
	is, err := m.Content.id()
	if err != nil {
		return m, err
	}
	if is != id || m.Content.OCI == nil && !filepath.IsLocal(m.Content.KernelRelease) {
		return m, fmt.Errorf("its file %s was changed", manifestName)
	}
	return m, nil
}

// write writes the manifest into dir.
func (m manifest) write(dir string) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, manifestName), append(data, '\n'), 0o600)
}

// checkFiles checks that the files are there and have their sizes, which costs
// no reading. Of the modules it checks the index; checkModules does the rest.
func (m manifest) checkFiles(dir string) error {
	for _, name := range []string{rootName, kernelName, packagesName} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return missingFile(name, err)
		}
		if want := m.Content.Files[name].Size; info.Size() != want {
			return fmt.Errorf("its file %s has %d bytes instead of %d", name, info.Size(), want)
		}
	}
	index := filepath.Join(modulesName, m.Content.KernelRelease, "modules.dep")
	if _, err := os.Stat(filepath.Join(dir, index)); err != nil {
		return missingFile(index, err)
	}
	return nil
}

// checkModules checks the number of modules and the sum of their sizes.
func (m manifest) checkModules(dir string) error {
	var is treeFacts
	err := filepath.WalkDir(filepath.Join(dir, modulesName), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		is.Files++
		is.Size += info.Size()
		return nil
	})
	if err != nil {
		return fmt.Errorf("its modules cannot be read: %w", err)
	}
	if want := m.Content.Modules; is.Files != want.Files || is.Size != want.Size {
		return fmt.Errorf("it has %d files of modules with %d bytes instead of %d with %d", is.Files, is.Size, want.Files, want.Size)
	}
	return nil
}

// missingFile says that a file of an image cannot be had.
func missingFile(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("its file %s is gone: %w", name, err)
	}
	return fmt.Errorf("its file %s cannot be read: %w", name, err)
}
