//go:build !unit

package session_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"banger"
)

func TestSecretEnv_ReachesTheCommandAndNothingElse(t *testing.T) {
	h := newHost(t)
	secret := rand.Text()
	r := shell("s", `printf %s "$TOKEN" | sha256sum; read wait`)
	r.SecretEnv = banger.SecretEnv{"TOKEN": banger.ByteString(secret)}
	r.Env = map[string]banger.ByteString{"PLAIN": "x"}
	x := start(t, h, r)
	if !slices.Equal(x.SecretEnv, []string{"TOKEN"}) {
		t.Errorf("the record names %q", x.SecretEnv)
	}
	for _, file := range files(t, "/proc/[0-9]*/cmdline") {
		if data, err := os.ReadFile(file); err == nil && bytes.Contains(data, []byte(secret)) {
			t.Errorf("it stands in %s", file)
		}
	}
	send(t, h, "s", "\n", false)
	wait(t, h, "s")
	if got, want := read(t, h, "s", all), fmt.Sprintf("%x  -\n", sha256.Sum256([]byte(secret))); got != want {
		t.Errorf("the command got %q, want %q", got, want)
	}
	seen := errors.New("seen")
	err := h.Store.Events.WatchEvents(t.Context(), 0, func(e banger.Event) error {
		if data, err := json.Marshal(e); err != nil || bytes.Contains(data, []byte(secret)) {
			t.Errorf("event %d has it, %v", e.Revision, err)
		}
		if e.Session != nil && e.Session.Status.Ended() {
			return seen
		}
		return nil
	})
	if !errors.Is(err, seen) {
		t.Fatal(err)
	}
	// The store, the session's directory, and whatever else this test's daemon writes.
	count := 0
	err = filepath.WalkDir(filepath.Dir(t.TempDir()), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		count++
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(secret)) {
			t.Errorf("it is in %s", path)
		}
		return err
	})
	if err != nil || count < 5 {
		t.Errorf("looked into %d files, %v", count, err)
	}
}

func TestSecretEnv_IsCheckedLikeAnyOther(t *testing.T) {
	h := newHost(t)
	for name, want := range map[string]string{"A=B": "environment", "PLAIN": "given twice"} {
		r := shell("s", "true")
		r.Env = map[string]banger.ByteString{"PLAIN": "x"}
		r.SecretEnv = banger.SecretEnv{name: "the value"}
		_, err := h.Sessions.StartSession(t.Context(), vmName, r)
		if banger.CodeOf(err) != banger.CodeInvalid || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "the value") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %q, %v", pattern, found, err)
	}
	return found
}
