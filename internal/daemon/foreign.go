package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"banger"
	"banger/internal/diskspace"
	"banger/internal/image"
	"banger/internal/image/ext4"
	"banger/internal/image/layer"
	"banger/internal/image/oci"
)

// sources gives the image service images that others have made.
type sources struct {
	blobs     *oci.Blobs
	transport http.RoundTripper
	mirrors   map[string][]string     // of registries, by their hosts
	dir       string                  // for archives that are compressed
	room      func(bytes int64) error // fails if there is none in it
}

func newSources(dir string, transport http.RoundTripper, mirrors map[string][]string) sources {
	return sources{blobs: oci.NewBlobs(dir), transport: transport, mirrors: mirrors, dir: dir, room: roomIn(dir)}
}

// Registry implements image.Sources.
func (s sources) Registry(ctx context.Context, r banger.PullRequest) (*image.Foreign, error) {
	platform, err := guestPlatform(r.Platform)
	if err != nil {
		return nil, err
	}
	registry := oci.Registry{Transport: s.transport, Mirrors: func(host string) []string { return s.mirrors[host] }}
	if l := r.Login; l != nil {
		registry.Auth = authn.FromConfig(authn.AuthConfig{
			Username: l.Username, Password: l.Password, IdentityToken: l.IdentityToken, RegistryToken: l.RegistryToken,
		})
	}
	source, err := registry.From(r.Reference)
	if err != nil {
		return nil, err
	}
	found, err := oci.Find(ctx, source, platform, "")
	if err != nil {
		return nil, err
	}
	f := foreign(found, platform)
	f.Close = func() error { return nil }
	for n, d := range found.Layers {
		f.Layers[n].Fetch = func(ctx context.Context, advance func(int64)) error {
			_, err := s.blobs.Fetch(ctx, source, d, advance)
			return err
		}
		f.Layers[n].Open = func(ctx context.Context) (io.ReadCloser, error) { return s.blobs.Open(ctx, source, d, nil) }
		f.Layers[n].Forget = func(ctx context.Context) error { return s.blobs.Remove(ctx, d.Digest) }
	}
	return f, nil
}

// Archive implements image.Sources.
func (s sources) Archive(ctx context.Context, r banger.ImportRequest) (*image.Foreign, error) {
	platform, err := guestPlatform(r.Platform)
	if err != nil {
		return nil, err
	}
	source, tag, closeSource, err := s.open(ctx, r)
	if err != nil {
		return nil, err
	}
	found, err := oci.Find(ctx, source, platform, tag)
	if err != nil {
		return nil, errors.Join(err, closeSource())
	}
	f := foreign(found, platform)
	f.Close = closeSource
	for n, d := range found.Layers {
		// Its digest is that of the archive inside, which whoever unpacks it compares.
		f.Layers[n].Open = func(ctx context.Context) (io.ReadCloser, error) { return source.Blob(ctx, d, 0) }
	}
	return f, nil
}

// open opens PATH, or PATH:TAG if there is nothing of that name.
func (s sources) open(ctx context.Context, r banger.ImportRequest) (source oci.Source, tag string, closeSource func() error, err error) {
	path := r.Path
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if i := strings.LastIndexByte(path, ':'); i > 0 && !strings.Contains(path[i:], "/") {
			if f, errBefore := os.Open(path[:i]); errBefore == nil {
				file, tag, err = f, path[i+1:], nil
			}
		}
	}
	if err != nil {
		code := banger.CodeInvalid
		if errors.Is(err, fs.ErrNotExist) {
			code = banger.CodeNotFound
		}
		return nil, "", nil, banger.Errorf(code, "cannot import image: %w", err)
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	info, err := file.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		var root *os.Root
		if root, err = os.OpenRoot(file.Name()); err == nil { // no link leads out of it
			file.Close()
			source, err = oci.FromLayout(file.Name(), root.FS())
			return source, tag, root.Close, err
		}
	case info.Mode().IsRegular():
		name := file.Name()
		if file, err = s.unpacked(ctx, file, layer.DefaultLimits().Expecting(r.MaxBytes)); err == nil {
			if info, err = file.Stat(); err == nil {
				source, err = oci.FromTarball(name, file, info.Size())
			}
		}
	default:
		err = banger.Errorf(banger.CodeInvalid, "cannot import %s: it is neither a file nor a directory", path)
	}
	return source, tag, file.Close, err
}

// unpackPart is how many bytes of a compressed archive are unpacked between two looks at the
// room there is, and whether they are still wanted.
const unpackPart = 16 << 20

// unpacked returns an archive that can be read at any place: the file itself, or, in place of
// one that is compressed, a file without a name, which ends with its last user. Either way it
// takes the file over. An archive has no more bytes than its image may.
func (s sources) unpacked(ctx context.Context, file *os.File, limits layer.Limits) (*os.File, error) {
	magic := make([]byte, 4)
	if _, err := file.ReadAt(magic, 0); err != nil || !layer.Compressed(magic) {
		return file, nil //nolint:nilerr // whoever reads it says what is wrong
	}
	defer file.Close()
	r, err := limits.Decompress(file)
	if err != nil {
		return nil, badArchive(file.Name(), err)
	}
	defer r.Close()
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	plain, err := os.CreateTemp(s.dir, ".unpacked-*")
	if err != nil {
		return nil, err
	}
	err = os.Remove(plain.Name())
	for err == nil {
		if err = errors.Join(context.Cause(ctx), s.room(unpackPart)); err == nil {
			_, err = io.CopyN(plain, r, unpackPart)
		}
	}
	if !errors.Is(err, io.EOF) {
		return nil, errors.Join(badArchive(file.Name(), err), plain.Close())
	}
	return plain, nil
}

// badArchive gives a code to what is wrong with a compressed file.
func badArchive(name string, cause error) error {
	_, coded := errors.AsType[*banger.Error](cause)
	_, host := errors.AsType[*fs.PathError](cause)
	if coded || host || errors.Is(cause, context.Canceled) {
		return fmt.Errorf("cannot import %s: %w", name, cause)
	}
	return banger.Errorf(banger.CodeInvalid, "cannot import %s: it is damaged or was cut off: %w", name, cause)
}

// foreign is what the image service wants to know of an image.
func foreign(i *oci.Image, platform v1.Platform) *image.Foreign {
	c := i.Config.Config
	f := &image.Foreign{
		Source: i.Source.String(), Name: i.Name, ConfigDigest: i.ConfigDigest.String(), Platform: platform.String(),
		Config: banger.ImageConfig{
			Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env, User: c.User, WorkingDir: c.WorkingDir, StopSignal: c.StopSignal,
		},
	}
	if i.Manifest.Digest.Hex != "" {
		f.Digest = i.Manifest.Digest.String()
	}
	for n, d := range i.Layers {
		f.Layers = append(f.Layers, image.ForeignLayer{DiffID: i.DiffIDs()[n].String(), Bytes: d.Size})
	}
	return f
}

// guestPlatform returns the platform that is asked for, which guests of this host have to
// have.
func guestPlatform(asked string) (v1.Platform, error) {
	host := v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	if asked == "" {
		return host, nil
	}
	p, err := v1.ParsePlatform(asked)
	if err != nil || p.OS == "" || p.Architecture == "" {
		return host, banger.Errorf(banger.CodeInvalid, "cannot take image for platform %.100q: it is not OS/ARCHITECTURE[/VARIANT]", asked)
	}
	if p.OS != host.OS || p.Architecture != host.Architecture {
		return host, banger.Errorf(banger.CodeMismatch, "cannot take image for %s: guests of this host are %s", p, host).
			WithHint("leave out the platform, and the image for %s is taken", host)
	}
	return *p, nil
}

// layerStacks gives the image service the file systems of layers.
type layerStacks struct{ layer.Stacks }

func newLayerStacks(dir string) layerStacks {
	return layerStacks{layer.Stacks{Dir: dir, FromTar: ext4.FromTar, Room: roomIn(dir)}}
}

// roomIn returns what fails if there is no room in a directory for some more bytes.
func roomIn(dir string) func(bytes int64) error {
	return func(bytes int64) error {
		space, err := diskspace.Of(dir)
		if err != nil {
			return err
		}
		if space.Free-bytes < image.HostFloor {
			return banger.Errorf(banger.CodeMissing, "cannot unpack layer: the host's disk is full: directory %s has %d MiB free", dir, space.Free>>20).
				WithHint("free some space, for example with: banger image prune")
		}
		return nil
	}
}

// ChainIDs implements image.Stacks.
func (layerStacks) ChainIDs(diffIDs []string) ([]string, error) { return layer.ChainIDs(diffIDs) }

// Add implements image.Stacks.
func (s layerStacks) Add(ctx context.Context, layers []image.StackLayer, maxBytes int64, done func(n int, bytes int64)) error {
	stack := make([]layer.Layer, len(layers))
	for n, l := range layers {
		stack[n] = layer.Layer(l)
	}
	_, err := s.Stacks.Add(ctx, stack, layer.DefaultLimits().Expecting(maxBytes), done)
	if err != nil {
		return fmt.Errorf("cannot unpack it: %w", err)
	}
	return nil
}
