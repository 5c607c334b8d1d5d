package servicetest

import (
	"context"
	"fmt"
	"slices"

	"banger"
)

// AddRemote implements banger.RemoteService.
func (f *Fake) AddRemote(ctx context.Context, r banger.RemoteRequest) (banger.VM, error) {
	f.call(fmt.Sprintf("%+v", r), "AddRemote", r)()
	for _, step := range f.Steps {
		banger.Step(ctx, step)
	}
	if f.OnLogin != nil {
		return f.OnLogin(ctx, r.Name, r.Answers)
	}
	return f.VM, f.Err
}

// UnlockRemote implements banger.RemoteService.
func (f *Fake) UnlockRemote(ctx context.Context, ref string, a banger.RemoteAnswers) (banger.VM, error) {
	f.call(fmt.Sprintf("%q %+v", ref, a), "UnlockRemote", ref, a)()
	if f.OnLogin != nil {
		return f.OnLogin(ctx, ref, a)
	}
	return f.VM, f.Err
}

// BuildImage implements banger.ImageService.
func (f *Fake) BuildImage(ctx context.Context, name string, r banger.ImageRecipe, progress func(banger.BuildProgress)) (banger.Image, error) {
	unlock := f.call(fmt.Sprintf("%q %q", name, r), "BuildImage", name, r)
	image, err := f.Image, f.Err
	if len(f.Images) > 0 {
		image = f.Images[0]
	}
	unlock()
	if f.OnBuild != nil {
		return f.OnBuild(ctx, progress)
	}
	for _, p := range f.Progress {
		progress(p)
	}
	return image, err
}

// PullImage implements banger.ImageService.
func (f *Fake) PullImage(_ context.Context, r banger.PullRequest, progress func(banger.PullProgress)) (banger.Image, error) {
	defer f.call(fmt.Sprintf("%q %q %q", r.Reference, r.Platform, r.Name), "PullImage", r)()
	return f.pulled(progress)
}

// ImportImage implements banger.ImageService.
func (f *Fake) ImportImage(_ context.Context, r banger.ImportRequest, progress func(banger.PullProgress)) (banger.Image, error) {
	defer f.call(fmt.Sprintf("%q %q %q", r.Path, r.Platform, r.Name), "ImportImage", r)()
	return f.pulled(progress)
}

func (f *Fake) pulled(progress func(banger.PullProgress)) (banger.Image, error) {
	for _, p := range f.Pulls {
		progress(p)
	}
	if len(f.Images) > 0 {
		return f.Images[0], f.Err
	}
	return f.Image, f.Err
}

// TagImage implements banger.ImageService.
func (f *Fake) TagImage(_ context.Context, ref string, r banger.TagRequest) (banger.Image, error) {
	defer f.call(fmt.Sprintf("%q %q", ref, r.Name), "TagImage", ref, r)()
	if f.Err != nil {
		return banger.Image{}, f.Err
	}
	return f.image(ref)
}

// PruneImages implements banger.ImageService.
func (f *Fake) PruneImages(_ context.Context, r banger.ImagePruneRequest) (banger.ImagePruneResult, error) {
	defer f.call(fmt.Sprint(r.All, r.DryRun), "PruneImages", r)()
	return f.PrunedImages, f.Err
}

// ListImages implements banger.ImageService.
func (f *Fake) ListImages(context.Context) ([]banger.Image, error) {
	defer f.call("", "ListImages")()
	if f.Strict || f.Images != nil {
		return slices.Clone(f.Images), f.Err
	}
	return []banger.Image{f.Image}, f.Err
}

// GetImage implements banger.ImageService.
func (f *Fake) GetImage(_ context.Context, ref string) (banger.Image, error) {
	defer f.call(fmt.Sprintf("%q", ref), "GetImage", ref)()
	if f.Err != nil {
		return banger.Image{}, f.Err
	}
	return f.image(ref)
}

// DeleteImage implements banger.ImageService.
func (f *Fake) DeleteImage(_ context.Context, ref string) error {
	defer f.call(fmt.Sprintf("%q", ref), "DeleteImage", ref)()
	if f.Err != nil {
		return f.Err
	}
	_, err := f.image(ref)
	return err
}

// Doctor implements banger.HostService.
func (f *Fake) Doctor(_ context.Context, deep bool) ([]banger.Check, error) {
	defer f.call(fmt.Sprint(deep), "Doctor", deep)()
	return f.Checks, f.Err
}

// Info implements banger.HostService.
func (f *Fake) Info(context.Context) (banger.DaemonInfo, error) {
	defer f.call("", "Info")()
	return banger.DaemonInfo{Version: "v1", PID: 7, Revision: f.Revision}, f.Err
}

// DiskUsage implements banger.DiskService.
func (f *Fake) DiskUsage(context.Context) (banger.DiskUsage, error) {
	defer f.call("", "DiskUsage")()
	if f.Strict {
		return f.counted(), f.Err
	}
	return f.Disk, f.Err
}

// counted has its records, which take nothing.
func (f *Fake) counted() banger.DiskUsage {
	usage := banger.DiskUsage{Reclaimable: []banger.Reclaimable{}, Objects: []banger.DiskObject{}}
	for _, vm := range f.VMs {
		usage.Objects = append(usage.Objects, banger.DiskObject{Kind: banger.DiskVMs, Name: vm.Name, Users: []string{}, Commands: []string{}})
	}
	for _, kind := range banger.DiskKinds() {
		sum := banger.DiskSummary{Kind: kind}
		for _, o := range usage.Objects {
			if o.Kind == kind {
				sum.Count++
			}
		}
		usage.Kinds = append(usage.Kinds, sum)
	}
	return usage
}

// Shutdown implements banger.HostService.
func (f *Fake) Shutdown(context.Context) error {
	defer f.call("", "Shutdown")()
	return f.Err
}

// ListTrash implements banger.TrashService.
func (f *Fake) ListTrash(context.Context) ([]banger.Trashed, error) {
	defer f.call("", "ListTrash")()
	return f.Trash, f.Err
}

// EmptyTrash implements banger.TrashService.
func (f *Fake) EmptyTrash(context.Context) ([]banger.Trashed, error) {
	defer f.call("", "EmptyTrash")()
	return f.Trash, f.Err
}
