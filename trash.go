package banger

import (
	"context"
	"time"
)

// Trashed is a directory that was found among those of the VMs and that no VM could be
// known by.
type Trashed struct {
	Path    string    `json:"path" doc:"where it is; absolute"`
	VMID    VMID      `json:"vm_id" doc:"the name that it had among the directories of VMs"`
	MovedAt time.Time `json:"moved_at" doc:"when it was moved there"`
	Why     string    `json:"why,omitempty" doc:"what was wrong with it"`
	Bytes   int64     `json:"bytes" doc:"that it has of the disk"`
	Busy    string    `json:"busy,omitempty" doc:"why it is not removed; absent if it can be"`
}

// TrashService keeps what was found and not known. Safe for concurrent use.
type TrashService interface {
	// ListTrash returns what is in the trash, oldest first.
	ListTrash(ctx context.Context) ([]Trashed, error)
	// EmptyTrash removes all that is in the trash but what is in use, and returns what
	// it has removed.
	EmptyTrash(ctx context.Context) ([]Trashed, error)
}
