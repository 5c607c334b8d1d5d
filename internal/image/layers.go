package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/diskspace"
	"banger/internal/diskusage"
	"banger/internal/filelock"
	"banger/internal/files"
	"banger/internal/paths"
)

// layerSuffix ends the name of a layer's file system, after its ChainID.
const layerSuffix = ".ext4"

// layersLock is the file by whose lock (flock(2)) those who make layers keep those away who
// remove them. Installations may share the directory.
const layersLock = "lock"

// LayersDir is where the file systems of layers are, which images share.
func LayersDir(p paths.Paths) string { return filepath.Join(p.Data, "layers") }

// DownloadsDir is where the layers of images are kept while they come from registries.
func DownloadsDir(p paths.Paths) string { return filepath.Join(p.Data, "downloads") }

// layerFiles are the file systems of layers, which belong to all images that have them.
type layerFiles struct{ paths paths.Paths }

func (l layerFiles) dir() string { return LayersDir(l.paths) }

// path is where a layer is, or will be.
func (l layerFiles) path(chainID string) string {
	return filepath.Join(l.dir(), chainID+layerSuffix)
}

// use keeps all layers from being removed until the file is closed.
func (l layerFiles) use(ctx context.Context) (*os.File, error) {
	dir := l.dir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	return filelock.Flock(filepath.Join(dir, layersLock), unix.LOCK_SH) // nobody has the other lock for long
}

// missing reports which layers of an image have to be made. One whose size is not that
// which another image has noted is made again.
func (l layerFiles) missing(m manifest, known map[string]layerFacts) ([]bool, error) {
	missing := make([]bool, len(m.Content.OCI.Layers))
	for n, layer := range m.Content.OCI.Layers {
		info, err := os.Stat(l.path(layer.ChainID))
		if err == nil && info.Size() != known[layer.ChainID].Size && known[layer.ChainID].ChainID != "" {
			if err = os.Remove(l.path(layer.ChainID)); err == nil {
				err = fs.ErrNotExist
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		missing[n] = err != nil
	}
	return missing, nil
}

// checkRoom refuses an image whose layers cannot fit: each takes more room than its archive,
// and so does the archive, if it has to come first. What a source says of sizes may be wrong
// in either direction: a disk that gets full is an error, too.
func (l layerFiles) checkRoom(f *Foreign, missing []bool) error {
	var need int64 = HostFloor
	for n, layer := range f.Layers {
		if layer.Bytes < 0 || layer.Bytes > maxLayerBytes {
			return banger.Errorf(banger.CodeInvalid, "cannot take %s: a layer of it has %d bytes", f.Source, layer.Bytes)
		}
		if !missing[n] {
			continue
		}
		need += layer.Bytes
		if layer.Fetch != nil {
			need += layer.Bytes
		}
	}
	space, err := diskspace.Of(l.dir())
	if err != nil {
		return err
	}
	if space.Free < need {
		return diskFull("store", fmt.Sprintf("directory %s has %s free, and %s takes %s at least", l.dir(), mebibytes(space.Free), f.Source, mebibytes(need)))
	}
	return nil
}

// maxLayerBytes bounds what a source says of one layer; sums of it fit into any integer here.
const maxLayerBytes = 1 << 42

// HostFloor is how many bytes of the host's disk stay free when layers are made, for the VMs
// that are there.
const HostFloor = 256 << 20

// removal says what to remove.
type removal struct {
	age    time.Duration // what is younger stays
	dryRun bool          // nothing is removed
}

// remove removes what has none of the ChainIDs, if nobody makes layers now, and returns what
// that has taken of the disk.
func (l layerFiles) remove(r removal, needed func() (map[string]bool, error)) (removed diskusage.Tree, err error) {
	dir := l.dir()
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return removed, nil
	}
	lock, err := filelock.Flock(filepath.Join(dir, layersLock), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return removed, nil // whoever it is does it at the end
	}
	if err != nil {
		return removed, err
	}
	defer lock.Close()
	keep, err := needed() // under the lock: whoever publishes an image has the other one
	if err != nil {
		return removed, err
	}
	paths, err := l.due(r.age, keep)
	for _, path := range paths {
		took, countErr := diskusage.Of(path)
		removed = removed.With(took)
		err = errors.Join(err, countErr)
		if !r.dryRun {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	return removed, err
}

// due returns what is older than an age and has none of the ChainIDs: layers, and what pulls
// have left.
func (l layerFiles) due(age time.Duration, keep map[string]bool) (due []string, err error) {
	all, err := l.all()
	for _, path := range all {
		info, gone := os.Lstat(path)
		if gone == nil && !keep[strings.TrimSuffix(filepath.Base(path), layerSuffix)] && time.Since(info.ModTime()) >= age {
			due = append(due, path)
		}
	}
	return due, err
}

// all returns the paths of all layers, and of what pulls have fetched or left.
func (l layerFiles) all() (paths []string, err error) {
	for _, dir := range []string{l.dir(), DownloadsDir(l.paths)} {
		entries, listErr := os.ReadDir(dir)
		if !errors.Is(listErr, fs.ErrNotExist) {
			err = errors.Join(err, listErr)
		}
		for _, e := range entries {
			if e.Name() != layersLock {
				paths = append(paths, filepath.Join(dir, e.Name()))
			}
		}
	}
	return paths, err
}

// chainID returns the ChainID of the layer whose file system a path is.
func (l layerFiles) chainID(path string) (id string, ok bool) {
	id, ok = strings.CutSuffix(filepath.Base(path), layerSuffix)
	return id, ok && filepath.Dir(path) == l.dir()
}

// collect removes the layers that no image has and what pulls have left, if they are older
// than an age.
func (s *shelf) collect(ctx context.Context, age time.Duration) {
	_, err := s.layers.remove(removal{age: age}, func() (map[string]bool, error) { return s.neededLayers(nil) })
	if err != nil {
		s.log.WarnContext(ctx, "cannot remove layers that no image has; the next pull or deletion tries again", "error", err)
	}
}

// neededLayers returns the ChainIDs of all images but some. It fails if there is an image of
// which they are not known.
func (s *shelf) neededLayers(but map[banger.ImageID]bool) (map[string]bool, error) {
	needed := map[string]bool{}
	entries, err := os.ReadDir(s.paths.Images())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if !banger.ValidID(e.Name()) || but[banger.ImageID(e.Name())] {
			continue
		}
		m, err := s.manifest(banger.ImageID(e.Name()))
		if err != nil {
			if _, gone := os.Lstat(filepath.Join(s.paths.Images(), e.Name())); errors.Is(gone, fs.ErrNotExist) {
				continue // it has just been deleted
			}
			return nil, fmt.Errorf("image %s: %w", e.Name(), err)
		}
		for _, l := range m.Layers {
			needed[l.ChainID] = true
		}
	}
	return needed, nil
}

// knownLayers returns what images know of layers, by their ChainIDs.
func (s *shelf) knownLayers() (map[string]layerFacts, error) {
	manifests, err := s.manifests()
	if err != nil {
		return nil, err
	}
	known := map[string]layerFacts{}
	for _, m := range manifests {
		for _, l := range m.Layers {
			known[l.ChainID] = l
		}
	}
	return known, nil
}

// measure returns the facts of the layers of an image, which are there. What another image
// knows of one is not measured again.
func (l layerFiles) measure(m manifest, known map[string]layerFacts) ([]layerFacts, error) {
	facts := make([]layerFacts, 0, len(m.Content.OCI.Layers))
	for _, layer := range m.Content.OCI.Layers {
		path := l.path(layer.ChainID)
		fact, ok := known[layer.ChainID]
		if info, err := os.Stat(path); err != nil {
			return nil, err
		} else if !ok || fact.Size != info.Size() {
			is, err := files.Measure(path)
			if err != nil {
				return nil, err
			}
			fact = layerFacts{ChainID: layer.ChainID, fileFacts: is}
		}
		facts = append(facts, fact)
	}
	return facts, nil
}
