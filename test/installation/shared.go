package installation

import (
	"sync"
	"testing"
)

// Shared is an installation with one VM, for the tests of a package that leave both fit
// for the next one: in any state of the VM, with sessions of other names. Its zero value
// is ready. Tests use it one after the other, not in parallel.
type Shared struct {
	// Prepare, if not nil, is called with the installation before its first command.
	Prepare func(*Installation) error

	mu sync.Mutex // guards i
	i  *Installation
}

// Running returns the installation, in which the VM of that name runs. The first test
// makes it; a test that fails takes it along, and the next one gets another.
func (s *Shared) Running(t testing.TB, bin Binaries, vm string) *Installation {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Cleanup(func() {
		if t.Failed() {
			s.giveUp(t)
		}
	})
	if s.i != nil {
		s.i.MustRun(t, "vm", "start", vm)
		return s.i
	}
	i, err := Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	s.i = i
	if s.Prepare != nil {
		if err := s.Prepare(i); err != nil {
			t.Fatal(err)
		}
	}
	i.StartVM(t, vm)
	return i
}

// giveUp closes the installation of a test that has failed.
func (s *Shared) giveUp(t testing.TB) {
	s.mu.Lock()
	i := s.i
	s.mu.Unlock()
	if i == nil {
		return // a part of the test was the first to fail
	}
	t.Logf("daemon log:\n%s", i.DaemonLog())
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Close closes the installation, if there is one.
func (s *Shared) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.i
	s.i = nil
	if i == nil {
		return nil
	}
	return i.Close()
}
