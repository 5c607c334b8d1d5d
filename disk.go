package banger

import "context"

// DiskKind is a kind of what banger keeps on the host's disk.
type DiskKind string

// The kinds, in the order in which a file is counted that two of them have.
const (
	DiskImages     DiskKind = "images"     // without their layers
	DiskLayers     DiskKind = "layers"     // of images from elsewhere
	DiskKernels    DiskKind = "kernels"    // with their modules
	DiskVMs        DiskKind = "vms"        // disks and logs
	DiskUnfinished DiskKind = "unfinished" // being downloaded, built or deleted, or left behind by that
	DiskTrash      DiskKind = "trash"      // see TrashService
)

// DiskKinds returns the kinds, in their order.
func DiskKinds() []DiskKind {
	return []DiskKind{DiskImages, DiskLayers, DiskKernels, DiskVMs, DiskUnfinished, DiskTrash}
}

// DiskUsage is what banger takes of the host's disk: the blocks that its files have, which for
// sparse files are less than their sizes. Each file counts once, however many names it has.
type DiskUsage struct {
	UsedBytes   int64         `json:"used_bytes" doc:"all of it"`
	Kinds       []DiskSummary `json:"kinds" doc:"every kind, also those of which there is nothing"`
	Reclaimable []Reclaimable `json:"reclaimable" doc:"what commands would free now; each by itself, not in addition to those before it"`
	Objects     []DiskObject  `json:"objects" doc:"all that there is, by kind"`
}

// DiskSummary is what all objects of a kind take together.
type DiskSummary struct {
	Kind        DiskKind `json:"kind"`
	Count       int      `json:"count" doc:"how many there are"`
	UsedBytes   int64    `json:"used_bytes" doc:"without files that are counted in a kind before"`
	SharedBytes int64    `json:"shared_bytes" doc:"how much of it more than one image or VM needs"`
}

// Reclaimable is what a command would free.
type Reclaimable struct {
	Command string `json:"command" doc:"as it is typed; NAME stands for each of the objects"`
	Count   int    `json:"count" doc:"how many objects it deletes"`
	Bytes   int64  `json:"bytes" doc:"of the disk, without files that something else has too"`
}

// DiskObject is an image, a layer, a kernel, or another thing that takes room.
type DiskObject struct {
	Kind      DiskKind `json:"kind"`
	Name      string   `json:"name" doc:"its name or, if it has none, its id or path"`
	UsedBytes int64    `json:"used_bytes" doc:"by itself: a file that two objects have counts in both"`
	Users     []string `json:"users" doc:"names of the images or VMs that need it; a VM of another installation is the path of its directory"`
	Commands  []string `json:"commands" doc:"which would delete it now"`
}

// DiskService counts what banger takes of the host's disk. Safe for concurrent use.
type DiskService interface {
	// DiskUsage counts all of it, which takes a moment. It waits for nobody who makes or deletes
	// something meanwhile, and nobody waits for it.
	DiskUsage(ctx context.Context) (DiskUsage, error)
}
