//go:build !unit

package store

import (
	"testing"

	"banger/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, openRecords)
}

func openRecords(t *testing.T) storetest.Store {
	s := openTest(t, testPath(t))
	return allRecords{s.VMs, s.Sessions, s.Images, s.Events}
}

// allRecords are a store's, as the suite asks for them: in one.
type allRecords struct {
	*VMs
	*Sessions
	*Images
	*Events
}
