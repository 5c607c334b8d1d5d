package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"banger"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashStoreVar); path != "" {
		writeUntilKilled(path)
	}
	goleak.VerifyTestMain(m)
}

// testPath has what a URL or SQLite could take for its own.
func testPath(t *testing.T) string {
	return filepath.Join(t.TempDir(), "a b?c#d%20&e.db")
}

func openTest(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func createVM(t *testing.T, s *Store, name string) banger.VM {
	t.Helper()
	vm, err := s.VMs.CreateVM(t.Context(), banger.VM{ID: banger.NewVMID(), Name: name, State: banger.VMStopped})
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func TestOpen_KeepsWhatWasWritten(t *testing.T) {
	path := testPath(t)
	s := openTest(t, path)
	vm := createVM(t, s, "one")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, path)
	if got, err := s.VMs.GetVM(t.Context(), vm.ID); err != nil || got.Name != "one" {
		t.Fatalf("after opening again: %+v, %v", got, err)
	}
}

func TestOpen_FileIsForItsOwnerOnly(t *testing.T) {
	path := testPath(t)
	s := openTest(t, path)
	createVM(t, s, "one")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", info.Name(), info.Mode())
		}
	}
}

func TestOpen_DamagedFileIsNamedAndKept(t *testing.T) {
	whole := testPath(t)
	s := openTest(t, whole)
	for i := range 20 {
		createVM(t, s, fmt.Sprint("vm", i))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	noise := strings.Repeat("\xa5", 4096)
	for name, damaged := range map[string]string{
		"text":      "this is no database, whoever wrote it\n",
		"short":     string(content[:50]),
		"cut":       string(content[:len(content)/2]),
		"page lost": string(content[:4096]) + noise + string(content[8192:]),
		"other":     string(content[:68]) + "\x00\x00\x00\x01" + string(content[72:]),
	} {
		t.Run(name, func(t *testing.T) {
			path := testPath(t)
			if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(t.Context(), path)
			if banger.CodeOf(err) != banger.CodeCorrupt || !strings.Contains(err.Error(), path) {
				t.Fatalf("error %v has code %s", err, banger.CodeOf(err))
			}
			if e, _ := errors.AsType[*banger.Error](err); e.Hint == "" {
				t.Error("no next step is given")
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != damaged {
				t.Errorf("the damaged file was changed or is gone: %v", err)
			}
		})
	}
}

func TestOpen_NewerStoreIsRefused(t *testing.T) {
	path := testPath(t)
	s := openTest(t, path)
	if _, err := s.database.writer.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), path)
	if banger.CodeOf(err) != banger.CodeMismatch || !strings.Contains(err.Error(), "newer banger") {
		t.Fatalf("error %v has code %s", err, banger.CodeOf(err))
	}
}

func TestOpen_WritesReachTheDisk(t *testing.T) {
	s := openTest(t, testPath(t))
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		if err := s.database.writer.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", pragma, got, want, err)
		}
	}
	if _, err := s.database.readers.Exec("DELETE FROM events"); err == nil {
		t.Error("a reading connection can write")
	}
}

func TestEvents_OldOnesAreForgotten(t *testing.T) {
	for name, l := range map[string]limits{
		"number": {events: 5, bytes: 1 << 30},
		"bytes":  {events: 1 << 30, bytes: 2500},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := open(t.Context(), testPath(t), l)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			vm := createVM(t, s, "one")
			for i := range 20 {
				if _, err := s.VMs.UpdateVM(t.Context(), vm.ID, func(vm *banger.VM) error { vm.LastError = fmt.Sprint(i); return nil }); err != nil {
					t.Fatal(err)
				}
			}
			checkKept(t, s, l)
			err = s.Events.WatchEvents(t.Context(), 10, func(banger.Event) error { return nil })
			if banger.CodeOf(err) != banger.CodeGone {
				t.Fatalf("a watch from a forgotten revision: %v", err)
			}
			enough := errors.New("enough")
			last := int64(18)
			err = s.Events.WatchEvents(t.Context(), last, func(e banger.Event) error {
				if last++; e.Revision != last {
					t.Errorf("got event %d, want %d", e.Revision, last)
				}
				if last == 21 {
					return enough
				}
				return nil
			})
			if !errors.Is(err, enough) {
				t.Fatal(err)
			}
		})
	}
}

// checkKept compares the counted bytes with the real ones and both with the limits.
func checkKept(t *testing.T, s *Store, l limits) {
	t.Helper()
	var events, bytes, counted int64
	if err := s.database.readers.QueryRow("SELECT count(*), sum(octet_length(record)), max(total) FROM events, event_bytes").
		Scan(&events, &bytes, &counted); err != nil {
		t.Fatal(err)
	}
	if bytes != counted {
		t.Errorf("events have %d bytes and %d are counted", bytes, counted)
	}
	if events > l.events || bytes > l.bytes || events < 3 {
		t.Errorf("%d events of %d bytes are kept", events, bytes)
	}
}

func TestEvents_TheNewestIsKeptWhateverItsSize(t *testing.T) {
	s, err := open(t.Context(), testPath(t), limits{events: 10, bytes: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	createVM(t, s, "one")
	createVM(t, s, "two")
	if n, err := s.Events.Revision(t.Context()); err != nil || n != 2 {
		t.Fatalf("revision %d, %v", n, err)
	}
}

func TestClose_EndsWatchesAndRefusesCalls(t *testing.T) {
	s := openTest(t, testPath(t))
	createVM(t, s, "one")
	watching, ended := make(chan struct{}), make(chan error)
	go func() {
		ended <- s.Events.WatchEvents(t.Context(), 0, func(banger.Event) error { close(watching); return nil })
	}()
	<-watching
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; banger.CodeOf(err) != banger.CodeUnavailable {
		t.Errorf("the watch ended with %v", err)
	}
	_, err := s.VMs.ListVMs(t.Context())
	if banger.CodeOf(err) != banger.CodeUnavailable {
		t.Errorf("a call after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestWrite_WaitsForItsTurnOnlyAsLongAsItsContext(t *testing.T) {
	s := openTest(t, testPath(t))
	vm := createVM(t, s, "one")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.VMs.UpdateVM(ctx, vm.ID, func(vm *banger.VM) error {
		waiting, stop := context.WithCancel(t.Context())
		stop()
		if _, err := s.VMs.UpdateVM(waiting, vm.ID, func(*banger.VM) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("a write that gave up waiting: %v", err)
		}
		cancel() // too late: this change has begun
		vm.LastError = "changed"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.VMs.GetVM(t.Context(), vm.ID); err != nil || got.LastError != "changed" {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestMigrations_MakeTheSameTablesTwice(t *testing.T) {
	path := testPath(t)
	schema := func() (text string) {
		s := openTest(t, path)
		defer s.Close()
		if err := s.database.readers.QueryRow("SELECT group_concat(sql, ';' || char(10)) FROM sqlite_schema").Scan(&text); err != nil {
			t.Fatal(err)
		}
		return text
	}
	if first, second := schema(), schema(); first != second || !strings.Contains(first, "STRICT") {
		t.Errorf("the schema changed:\n%s\n%s", first, second)
	}
}

// makeSessions makes sessions of a VM with ids, in one transaction.
func makeSessions(t testing.TB, s *Store, vm banger.VMID, n int) (ids []banger.SessionID) {
	t.Helper()
	err := s.Sessions.writer.write(t.Context(), "make sessions", func(t *tx) error {
		for i := range n {
			x := banger.Session{ID: banger.NewSessionID(), VMID: vm, Epoch: banger.Epoch(vm), Name: fmt.Sprint("s", i), SessionState: banger.SessionState{Status: banger.StatusRunning}}
			if _, err := (sessionTx{t}).insert(x, ""); err != nil {
				return err
			}
			ids = append(ids, x.ID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}
