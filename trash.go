package banger

import (
	"context"
	"time"
)

// Trashed is a directory that was found among those of the VMs but belongs to none.
type Trashed struct {
	Path    string    `json:"path" doc:"its absolute path"`
	VMID    VMID      `json:"vm_id" doc:"its name among the directories of VMs, before it was moved"`
	MovedAt time.Time `json:"moved_at" doc:"when it was moved there"`
	Why     string    `json:"why,omitempty" doc:"what was wrong with it"`
	Bytes   int64     `json:"bytes" doc:"disk space that it uses"`
	Busy    string    `json:"busy,omitempty" doc:"why it cannot be removed; absent if it can"`
}

// TrashService keeps directories that belong to no VM. Safe for concurrent use.
type TrashService interface {
	// ListTrash returns what is in the trash, oldest first.
	ListTrash(ctx context.Context) ([]Trashed, error)
	// EmptyTrash removes everything in the trash that is not in use, and returns what
	// it has removed.
	EmptyTrash(ctx context.Context) ([]Trashed, error)
}
