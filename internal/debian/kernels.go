package debian

import (
	"context"
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"banger"
	"banger/internal/debversion"
)

// imagePrefix begins the names of packages with kernels.
const imagePrefix = "linux-image-"

// Package is a package in an archive.
type Package struct {
	Name, Version string
	Architecture  string
	Suite         string // in which it is
	URL           string // of its file
	SHA256        string // of it, in hexadecimal digits
	Bytes         int64  // of it
	Installed     int64  // bytes of its files
}

// FindKernel returns the newest package with a kernel for virtual machines that a name means,
// in a release of Debian with its updates: a version, whole (6.12.117) or in part (6.12), a
// kernel's release, as uname -r prints it, or a package. mirror is as in Suites.
func (a Archives) FindKernel(ctx context.Context, mirror, suite, name string) (Package, error) {
	wanted := strings.TrimPrefix(name, imagePrefix)
	if err := checkWord("kernel", wanted); err != nil {
		return Package{}, err
	}
	suites, missing, err := a.Suites(ctx, mirror, suite)
	if err != nil {
		return Package{}, err
	}
	all, err := a.kernels(ctx, suites)
	if err != nil {
		return Package{}, err
	}
	for range 2 { // the second time for what a package without a kernel of its own depends on
		if p, ok := newest(all, func(p kernelPackage) bool { return p.means(wanted, a.architecture()) }); ok {
			return p.Package, nil
		}
		meta, ok := newest(all, func(p kernelPackage) bool { return p.Name == imagePrefix+wanted })
		if wanted = meta.dependsOn(); !ok || wanted == "" {
			break
		}
	}
	if len(missing) > 0 {
		return Package{}, banger.Errorf(banger.CodeUnavailable, "cannot find kernel %s in what could be read of Debian %s: %w", name, suite, errors.Join(missing...)).
			WithHint("check the network and try again, or name another mirror with --mirror")
	}
	unknown := banger.Errorf(banger.CodeNotFound, "cannot find kernel %s: Debian %s has none for %s that this means", name, suite, a.architecture()).
		WithHint("choose another kernel, or another release of Debian with --suite")
	unknown.Candidates = a.series(all)
	return Package{}, unknown
}

// kernelPackage is a package whose name says that it has a kernel.
type kernelPackage struct {
	Package
	depends string
}

// kernels returns those of all suites.
func (a Archives) kernels(ctx context.Context, suites []Suite) ([]kernelPackage, error) {
	lists := make([][]entry, len(suites))
	group, ctx := errgroup.WithContext(ctx)
	for i, s := range suites {
		group.Go(func() (err error) {
			lists[i], err = a.packages(ctx, s, imagePrefix)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var all []kernelPackage
	for i, s := range suites {
		for _, e := range lists[i] {
			if e.filename == "" || path.Clean("/"+e.filename) != "/"+e.filename {
				continue // nothing of Debian's is so
			}
			all = append(all, kernelPackage{Package: Package{
				Name: e.name, Version: e.version, Architecture: a.architecture(), Suite: s.Name,
				URL: s.URL + "/" + e.filename, SHA256: e.sha256, Bytes: e.size, Installed: e.installed,
			}, depends: e.depends})
		}
	}
	return all, nil
}

// wholeVersion begins the release of a kernel; what has less of a version is a package that
// depends on one.
var wholeVersion = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+`)

// release is that of the package's kernel; empty if it has none.
func (p kernelPackage) release() string {
	release := strings.TrimPrefix(p.Name, imagePrefix)
	if !wholeVersion.MatchString(release) || strings.HasSuffix(release, "-dbg") || strings.HasSuffix(release, "-unsigned") {
		return ""
	}
	return release
}

// means reports whether a name means the package's kernel.
func (p kernelPackage) means(name, architecture string) bool {
	release := p.release()
	if release == "" {
		return false
	}
	if release == name {
		return true
	}
	rest, ok := strings.CutPrefix(release, name)
	return ok && strings.ContainsAny(rest[:1], ".+-") && strings.HasSuffix(release, "-cloud-"+architecture)
}

// dependsOn is the kernel that a package depends on; empty if there is none.
func (p kernelPackage) dependsOn() string {
	for dependency := range strings.SplitSeq(p.depends, ",") {
		name, _, _ := strings.Cut(strings.TrimSpace(dependency), " ")
		if release, ok := strings.CutPrefix(name, imagePrefix); ok {
			return release
		}
	}
	return ""
}

// newest returns the package of the newest version.
func newest(all []kernelPackage, wanted func(kernelPackage) bool) (best kernelPackage, found bool) {
	for _, p := range all {
		if wanted(p) && (!found || debversion.Compare(p.Version, best.Version) > 0) {
			best, found = p, true
		}
	}
	return best, found
}

// series are the versions, in part, of the kernels that there are.
func (a Archives) series(all []kernelPackage) []string {
	var series []string
	for _, p := range all {
		if parts := strings.SplitN(p.release(), ".", 3); len(parts) == 3 && strings.HasSuffix(p.Name, "-cloud-"+a.architecture()) {
			series = append(series, parts[0]+"."+parts[1])
		}
	}
	slices.Sort(series)
	return slices.Compact(series)
}
