//go:build !unit

package store

import (
	"math/rand/v2"
	"testing"

	"banger/internal/store/storetest"
)

func TestStore_AcknowledgedWritesSurviveKill(t *testing.T) {
	path := testPath(t)
	for range 8 {
		acknowledged := runAndKill(t, path, 1+rand.IntN(60))
		s := openTest(t, path)
		newest, err := s.Events.Revision(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if newest < acknowledged {
			t.Fatalf("revision %d was acknowledged; after the kill the newest is %d", acknowledged, newest)
		}
		checkHistory(t, s, newest)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStore_OfLargeRecords(t *testing.T) {
	storetest.RunLarge(t, openRecords)
}
