// Package storetest is the contract of the store as a test suite: every implementation
// runs Run and RunLarge.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"banger"
	"banger/internal/image"
	"banger/internal/machine"
	"banger/internal/session"
)

// Store is all that the services and the daemon ask of the records of a store, each by its
// own port.
type Store interface {
	machine.Store
	session.Store
	image.Store
	banger.EventService
	// Revision returns that of the newest event, 0 if there is none.
	Revision(ctx context.Context) (int64, error)
}

// Run tests a store. open returns a new, empty one that it closes when its test ends.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Store)
	}{
		{"VM_IsReadAsItWasWritten", testVMRoundTrip},
		{"VM_NameIsTakenOnce", testVMNames},
		{"VM_NeedsItsImage", testVMImage},
		{"VM_MachineIsKeptButNotTold", testVMMachine},
		{"VM_DeletedWithItsSessions", testVMDelete},
		{"Session_IsReadAsItWasWritten", testSessionRoundTrip},
		{"Session_NameIsUniqueWithinItsVM", testSessionNames},
		{"Session_KeyStartsOnlyOne", testIdempotency},
		{"Session_KeyOfALaunchThatNeverArrivedIsFree", testFreedKey},
		{"Restore_GivesWayToWhatIsKnown", testRestore},
		{"Session_UpdatesAreSerial", testSerialUpdates},
		{"Session_ManyChangeTogetherOrNotAtAll", testManyUpdates},
		{"Session_IsFoundByItsReference", testSessionResolve},
		{"Session_IsInOnePage", testSessionPages},
		{"Session_IsWaitedFor", testSessionWait},
		{"Session_WaitEndsWithItsRemoval", testSessionWaitRemoved},
		{"Session_ListIsNoOlderThanItsEvents", testListsConcurrent},
		{"Session_TwinsInTwoVMsAreTwo", testTwins},
		{"Epoch_OfAForkHasItsSessionsAndTheirPartings", testForkEpoch},
		{"Epoch_OfAnOlderSnapshotReplacesWhatWasLater", testRestoreEpoch},
		{"Epoch_BeginsOnceAndOnlySo", testEpochOnce},
		{"Epoch_OfALostRecordVouchesForNothing", testLostPartings},
		{"Epoch_LastsAsLongAsItsTree", testEpochsForgotten},
		{"Epoch_LinesAreThoseOfAModel", testEpochModel},
		{"Image_TakesItsName", testImageName},
		{"Image_KeepsAndTakesNames", testImageNames},
		{"Image_UnusedIsThatOfNoVM", testUnusedImages},
		{"Image_InUseIsNotDeleted", testImageInUse},
		{"Update_ForbiddenTransitionChangesNothing", testTransitions},
		{"Update_FailedChangeChangesNothing", testFailedChange},
		{"Update_WithoutChangeMakesNoEvent", testNoChange},
		{"Missing_IsNotFound", testMissing},
		{"Events_TellEveryChange", testEventKinds},
		{"Events_FromNowOn", testEventsFromNow},
		{"Events_FromTheFutureAreRefused", testEventsFromFuture},
		{"Events_EndWithTheirReader", testEventsEnd},
		{"Events_AreCompleteForEveryReader", testEventsConcurrent},
		{"Events_SlowReaderDelaysNobody", testEventsSlowReader},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// RunLarge is the part of Run whose records are megabytes, which takes the race detector
// many seconds.
func RunLarge(t *testing.T, open func(t *testing.T) Store) {
	t.Run("Session_PagesAreBounded", func(t *testing.T) { testSessionPageBytes(t, open(t)) })
}

// newVM returns the record of a VM as a service makes it.
func newVM(name string) banger.VM {
	return banger.VM{
		ID: banger.NewVMID(), Name: name, Driver: "qemu", CPUs: 2, MemoryMiB: 512,
		SystemDiskMiB: 1024, WorkDiskMiB: 2048, State: banger.VMStopped, CreatedAt: time.Now(),
	}
}

// newSession returns the record of a session whose strings hold what strings can.
func newSession(vm banger.VM, name string) banger.Session {
	return banger.Session{
		ID: banger.NewSessionID(), VMID: vm.ID, Name: name,
		Launch: banger.Launch{
			Command: "sh", Args: []banger.ByteString{"-c", "echo \"'$(x)'\n", "\xff\xfe"},
			Env:       map[string]banger.ByteString{"A": "", "B": "\x80\n"},
			StdinMode: banger.StdinPipe,
		},
		SessionState: banger.SessionState{Status: banger.StatusStarting},
		Tags:         map[string]string{"team": "a\nb"},
	}
}

func createVM(t *testing.T, s Store, name string) banger.VM {
	t.Helper()
	vm, err := s.CreateVM(t.Context(), newVM(name))
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func createSession(t *testing.T, s Store, vm banger.VM, name string) banger.Session {
	t.Helper()
	x, created, err := s.CreateSession(t.Context(), newSession(vm, name), "")
	if err != nil || !created {
		t.Fatalf("created %v, error %v", created, err)
	}
	return x
}

func putImage(t *testing.T, s Store, id banger.ImageID, name string) banger.Image {
	t.Helper()
	i, err := s.PutImage(t.Context(), banger.Image{ID: id, Name: name, KernelRelease: "6.1", CreatedAt: time.Unix(1e9, 5).UTC()})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func setState(state banger.VMState) func(*banger.VM) error {
	return func(vm *banger.VM) error { vm.State = state; return nil }
}

func wantCode(t *testing.T, err error, code banger.Code, text string) {
	t.Helper()
	if banger.CodeOf(err) != code {
		t.Fatalf("error %v has code %q, want %q", err, banger.CodeOf(err), code)
	}
	if !strings.Contains(err.Error(), text) {
		t.Fatalf("error %q does not hold %q", err, text)
	}
}

func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s differs (-want +got):\n%s", what, diff)
	}
}

func revision(t *testing.T, s Store) int64 {
	t.Helper()
	n, err := s.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var errEnough = errors.New("enough")

// events returns the events after since, until the newest there is now.
func events(t *testing.T, s Store, since int64) []banger.Event {
	t.Helper()
	newest := revision(t, s)
	if since == newest {
		return nil
	}
	var list []banger.Event
	err := s.WatchEvents(t.Context(), since, func(e banger.Event) error {
		list = append(list, e)
		if e.Revision == newest {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("the watch ended with %v", err)
	}
	return list
}

// summary is an event in one line: what happened to what, and the revision
// that its record has.
func summary(e banger.Event) string {
	switch {
	case e.VM != nil:
		return fmt.Sprintf("%d %s %s %s %d", e.Revision, e.Kind, e.VM.Name, e.VM.State, e.VM.Revision)
	case e.Session != nil:
		return fmt.Sprintf("%d %s %s %s %d", e.Revision, e.Kind, e.Session.Name, e.Session.Status, e.Session.Revision)
	case e.Image != nil:
		return fmt.Sprintf("%d %s %s %q %d", e.Revision, e.Kind, e.Image.ID, e.Image.Name, e.Image.Revision)
	}
	return fmt.Sprintf("%d %s without a record", e.Revision, e.Kind)
}
