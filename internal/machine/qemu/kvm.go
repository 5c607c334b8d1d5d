package qemu

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/files"
	"banger/internal/process"
)

// verdict says whether KVM boots guests on this host, and why not.
type verdict struct {
	Usable bool   `json:"usable"`
	Reason string `json:"reason"`
	Hint   string `json:"hint,omitempty"`
}

// kvm judges KVM by booting a guest with it: a /dev/kvm that opens, and even one
// that makes virtual CPUs, may still never run a guest. Safe for concurrent use.
type kvm struct {
	config Config
	device string
	limit  time.Duration
	busy   chan struct{} // has room for the one that tries
}

const (
	kvmDevice = "/dev/kvm"
	// trialLimit is for hosts that are not emulated themselves: there a trial
	// guest that works takes a fraction of it.
	trialLimit = 3 * time.Second
	// maxVerdicts and maxVerdictBytes bound the cache.
	maxVerdicts     = 32
	maxVerdictBytes = 1 << 20
)

func newKVM(c Config) *kvm {
	return &kvm{config: c, device: kvmDevice, limit: cmp.Or(c.TrialLimit, trialLimit), busy: make(chan struct{}, 1)}
}

// verdict returns what is known for this boot of the host, kernel and QEMU, or
// tries, which takes up to the limit. Who comes meanwhile waits for that trial.
func (k *kvm) verdict(ctx context.Context, kernel string) (verdict, error) {
	if v := k.deviceVerdict(); !v.Usable {
		return v, nil
	}
	select {
	case k.busy <- struct{}{}:
		defer func() { <-k.busy }()
	case <-ctx.Done():
		return verdict{}, fmt.Errorf("cannot tell whether KVM works: %w", context.Cause(ctx))
	}
	key, err := k.key(kernel)
	if err != nil {
		return verdict{}, err
	}
	cached := k.load(key.BootID)
	if i := slices.IndexFunc(cached, func(e verdictEntry) bool { return e.verdictKey == key }); i >= 0 {
		return cached[i].verdict, nil
	}
	v, err := k.try(ctx, kernel)
	if err != nil {
		return verdict{}, fmt.Errorf("cannot tell whether KVM works: %w", err)
	}
	cached = append(cached, verdictEntry{key, v, time.Now().UTC()})
	return v, k.save(cached[max(0, len(cached)-maxVerdicts):])
}

// deviceVerdict reports what needs no guest to be seen; Usable means "may be".
func (k *kvm) deviceVerdict() verdict {
	f, err := os.OpenFile(k.device, os.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		f.Close()
		return verdict{Usable: true}
	case errors.Is(err, os.ErrNotExist):
		return verdict{
			Reason: "there is no " + k.device,
			Hint:   "switch virtualisation on in the firmware, or nested virtualisation for the machine that this host is",
		}
	case errors.Is(err, os.ErrPermission):
		return verdict{
			Reason: "this user may not open " + k.device,
			Hint:   "usermod -aG kvm USER, then log in again",
		}
	default:
		return verdict{Reason: err.Error()}
	}
}

// verdictKey is what a verdict depends on.
type verdictKey struct {
	BootID string        `json:"boot_id"` // of the host
	Kernel fileMark      `json:"kernel"`
	QEMU   fileMark      `json:"qemu"`
	Limit  time.Duration `json:"limit"` // nanoseconds
}

// fileMark tells a file from a later one at the same path.
type fileMark struct {
	Path    string `json:"path"`
	Size    int64  `json:"size"`
	ModTime int64  `json:"mod_time"` // nanoseconds since 1970
}

type verdictEntry struct {
	verdictKey
	verdict
	TriedAt time.Time `json:"tried_at"`
}

func (k *kvm) key(kernel string) (verdictKey, error) {
	binary, err := findBinary(k.config.Binary)
	if err != nil {
		return verdictKey{}, err
	}
	key := verdictKey{Limit: k.limit}
	if key.BootID, err = process.BootID(); err != nil {
		return key, err
	}
	if key.Kernel, err = markFile(kernel); err != nil {
		return key, err
	}
	key.QEMU, err = markFile(binary)
	return key, err
}

func markFile(path string) (fileMark, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return fileMark{}, banger.Errorf(banger.CodeCorrupt, "cannot find file %s: %w", path, err)
	}
	if err != nil {
		return fileMark{}, err
	}
	return fileMark{path, info.Size(), info.ModTime().UnixNano()}, nil
}

// load returns the verdicts of this boot. A cache that cannot be read is empty:
// the price is a trial.
func (k *kvm) load(bootID string) []verdictEntry {
	info, err := os.Stat(k.config.VerdictCache)
	if err != nil || info.Size() > maxVerdictBytes {
		return nil
	}
	data, err := os.ReadFile(k.config.VerdictCache)
	if err != nil {
		return nil
	}
	var all []verdictEntry
	if json.Unmarshal(data, &all) != nil {
		return nil
	}
	return slices.DeleteFunc(all, func(e verdictEntry) bool { return e.BootID != bootID })
}

func (k *kvm) save(all []verdictEntry) error {
	data, err := json.MarshalIndent(all, "", "\t")
	if err != nil {
		return fmt.Errorf("cannot keep KVM verdict: %w", err)
	}
	return files.Write(k.config.VerdictCache, append(data, '\n'), 0o600)
}
