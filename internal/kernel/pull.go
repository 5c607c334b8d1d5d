package kernel

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"banger"
	"banger/internal/debian"
	"banger/internal/diskspace"
	"banger/internal/kmod"
	"banger/internal/staging"
	"banger/internal/vmlinux"
)

// How much of a pull is done when its stages begin, in percent.
const (
	findingPercent   = 0
	fetchingPercent  = 20
	unpackingPercent = 80
	donePercent      = 100
)

// reportEvery is the least time between two reports about the bytes that have come.
const reportEvery = 200 * time.Millisecond

// PullKernel implements banger.KernelService.
func (s *Service) PullKernel(ctx context.Context, r banger.KernelRequest, progress func(banger.BuildProgress)) (banger.Kernel, error) {
	r = r.WithDefaults()
	if progress == nil {
		progress = func(banger.BuildProgress) {}
	}
	begin := time.Now()
	report := func(stage, detail string, percent float64) {
		progress(banger.BuildProgress{Stage: stage, Detail: detail, Percent: percent, ElapsedMS: time.Since(begin).Milliseconds()})
	}
	report("finding the kernel", "", findingPercent)
	p, err := s.Archive.FindKernel(ctx, r.Mirror, r.Suite, r.Name)
	if err != nil {
		return banger.Kernel{}, err
	}
	m := manifest{Suite: p.Suite, Mirror: r.Mirror, Content: content{
		Format: manifestFormat, Release: strings.TrimPrefix(p.Name, "linux-image-"), Version: p.Version, Package: p.Name,
		Architecture: p.Architecture, Digest: "sha256:" + p.SHA256,
	}}
	id, err := m.Content.id()
	if err != nil {
		return banger.Kernel{}, err
	}
	unlock, err := s.making.Lock(ctx, id)
	if err != nil {
		return banger.Kernel{}, err
	}
	defer unlock()
	detail := "it is here already"
	if _, err := s.Files(id); err != nil {
		detail = ""
		if err := s.make(ctx, p, m, id, report); err != nil {
			return banger.Kernel{}, explainFull(Dir(s.Paths), err)
		}
	}
	report("done", detail, donePercent)
	return s.GetKernel(ctx, string(id))
}

// make gets a package and makes a kernel of it, and leaves nothing else behind.
func (s *Service) make(ctx context.Context, p debian.Package, m manifest, id banger.KernelID, report func(stage, detail string, percent float64)) (err error) {
	if err := s.Sweep(); err != nil {
		return err
	}
	d, err := s.area.New()
	if err != nil {
		return fmt.Errorf("cannot pull kernel: %w", err)
	}
	defer func() { err = errors.Join(err, d.Remove()) }()
	if err := checkRoom(Dir(s.Paths), p); err != nil {
		return err
	}
	deb, err := os.OpenFile(filepath.Join(d.Path, packagePart), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("cannot pull kernel: %w", err)
	}
	defer deb.Close()
	if err := s.fetch(ctx, p, deb, report); err != nil {
		return err
	}
	report("unpacking the kernel", "", unpackingPercent)
	if err := unpack(ctx, deb, d.Content(), m.Content.Release); err != nil {
		return fmt.Errorf("cannot unpack package %s: %w", p.Name, err)
	}
	return s.finish(ctx, d, m, id)
}

// finish makes a kernel of the files that are there.
func (s *Service) finish(ctx context.Context, d *staging.Dir, m manifest, id banger.KernelID) error {
	dir := d.Content()
	if _, err := os.Stat(filepath.Join(dir, vmlinuxName)); err != nil {
		err := vmlinux.UnpackFile(filepath.Join(dir, vmlinuzName), filepath.Join(dir, vmlinuxName))
		if err != nil && !errors.Is(err, vmlinux.ErrUnknown) {
			return fmt.Errorf("cannot unpack kernel %s: %w", m.Content.Release, err)
		}
	}
	if err := m.measure(dir); err != nil {
		return err
	}
	m.PulledAt = time.Now().UTC()
	if err := m.write(dir); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := d.Publish(string(id)); err != nil {
		return fmt.Errorf("cannot store kernel %s: %w", m.Content.Release, err)
	}
	return nil
}

// fetch writes a package to w and reports how far it is.
func (s *Service) fetch(ctx context.Context, p debian.Package, w io.Writer, report func(stage, detail string, percent float64)) error {
	stage := "fetching " + p.Name
	var done int64
	var reported time.Time
	advance := func(bytes int64) {
		done += bytes
		if time.Since(reported) < reportEvery && done < p.Bytes {
			return
		}
		reported = time.Now()
		report(stage, fmt.Sprintf("%.1f of %.1f MiB", float64(done)/(1<<20), float64(p.Bytes)/(1<<20)),
			fetchingPercent+(unpackingPercent-fetchingPercent)*float64(done)/float64(max(p.Bytes, 1)))
	}
	report(stage, "", fetchingPercent)
	return s.Archive.Fetch(ctx, p, w, advance)
}

// unpack takes the kernel and its modules out of a package.
func unpack(ctx context.Context, deb io.ReadSeeker, dir, release string) error {
	if _, err := deb.Seek(0, io.SeekStart); err != nil {
		return err
	}
	files, err := debian.Files(deb)
	if err != nil {
		return err
	}
	p := kmod.Picker{Dir: dir}
	for t := tar.NewReader(files); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := p.File(strings.TrimPrefix(path.Clean("/"+h.Name), "/"), h.Size, t); err != nil {
			return fmt.Errorf("cannot take %s: %w", h.Name, err)
		}
	}
	if err := p.Check(); err != nil {
		return err
	}
	if p.Release != release {
		return fmt.Errorf("its kernel is %s", p.Release)
	}
	return kmod.WriteIndexes(p.Modules())
}

// unpackedBytes is what a kernel takes, unpacked, and a third more: Debian's have 40 to 80 MiB.
const unpackedBytes = 100 << 20

// checkRoom refuses a package for which there is no room.
func checkRoom(dir string, p debian.Package) error {
	space, err := diskspace.Of(dir)
	if err != nil {
		return err
	}
	if need := p.Bytes + p.Installed + unpackedBytes; space.Free < need {
		return diskFull(fmt.Sprintf("directory %s has %d MiB free and needs %d MiB", dir, space.Free>>20, need>>20))
	}
	return nil
}

// explainFull makes an error of a full disk one that says what to do.
func explainFull(dir string, err error) error {
	if diskspace.IsFull(err) {
		return diskFull(fmt.Sprintf("%v, in %s", err, dir))
	}
	return err
}

func diskFull(detail string) error {
	return banger.Errorf(banger.CodeMissing, "cannot pull kernel: the host's disk is full: %s", detail).
		WithHint("free some space (banger image prune --dry-run and banger kernel prune --dry-run show what can go), or set XDG_DATA_HOME to another directory")
}
