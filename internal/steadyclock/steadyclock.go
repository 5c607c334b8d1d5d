// Package steadyclock has a clock for ages that last for days: it continues through
// restarts of the process and of the host, and no setting of the host's clock moves it.
package steadyclock

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"banger/internal/files"
	"banger/internal/process"
)

// Clock returns times of which only the differences mean something. It never runs ahead of
// real time: what cannot be known to have passed is not counted. That is the time for
// which the host was off, unless its clock was, and is, synchronised with others. It
// goes back only when the host goes off, by at most what had passed since the last Save.
// Safe for concurrent use.
type Clock struct {
	file string
	host host

	mu    sync.Mutex // guards the fields below
	boot  string     // of this host
	base  time.Time  // what the clock showed at the uptime origin
	since time.Duration
	gap   *moment // the last one known of an earlier boot, while what has passed since is not
}

// host is what the clock needs of the system.
type host interface {
	BootID() (string, error)
	Uptime() (time.Duration, error) // since the boot, with suspends
	Wall() time.Time
	Synchronised() bool // the kernel knows that Wall is right
}

// moment is one at which both clocks were read.
type moment struct {
	Steady       time.Time     `json:"steady"`
	Wall         time.Time     `json:"wall"`
	Synchronised bool          `json:"synchronised"`
	BootID       string        `json:"boot_id"`
	Uptime       time.Duration `json:"uptime_ns"`
	Gap          *moment       `json:"gap,omitempty"`
}

// Open returns the clock whose state is in file, and saves it. Without a usable file
// the clock begins at what begin returns, or with the host's clock if that is zero.
// One process at a time may have a file open.
func Open(file string, begin func() time.Time) (*Clock, error) {
	return open(file, begin, system{})
}

func open(file string, begin func() time.Time, h host) (*Clock, error) {
	c := &Clock{file: file, host: h}
	var err error
	if c.boot, err = h.BootID(); err != nil {
		return nil, err
	}
	if c.since, err = h.Uptime(); err != nil {
		return nil, err
	}
	last, err := read(file)
	switch {
	case err != nil || last == nil:
		if c.base = begin(); c.base.IsZero() {
			c.base = h.Wall().UTC()
		}
	case last.BootID == c.boot:
		c.base, c.since, c.gap = last.Steady, last.Uptime, last.Gap
	default:
		// Since the host has booted so much has passed at least.
		c.base, c.since = last.Steady, 0
		if last.Synchronised {
			c.gap = last
		}
	}
	return c, errors.Join(err, c.Save())
}

// read returns what was saved, nil if nothing was.
func read(file string) (*moment, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var m moment
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil || m.Steady.IsZero() {
		return nil, fmt.Errorf("cannot use the clock's state in %s: %w", file, err)
	}
	return &m, nil
}

// Now returns the time that the clock shows, in UTC.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	gap := c.gap
	m := c.now()
	if c.gap != gap {
		_ = c.save(m) // what it has jumped by; Save meets the error again
	}
	return m.Steady
}

// now reads both clocks.
func (c *Clock) now() moment {
	uptime, err := c.host.Uptime()
	if err != nil || uptime < c.since {
		uptime = c.since // nothing has passed that can be known
	}
	wall, synchronised := c.host.Wall(), c.host.Synchronised()
	if g := c.gap; g != nil && synchronised {
		if off := wall.Add(-uptime).Sub(g.Wall); off > 0 { // from then until the boot
			c.base = c.base.Add(off)
		}
		c.gap = nil
	}
	return moment{
		Steady: c.base.Add(uptime - c.since), Wall: wall.UTC(), Synchronised: synchronised, BootID: c.boot, Uptime: uptime, Gap: c.gap,
	}
}

// Save makes what the clock shows last beyond the host's boot. Who uses the clock calls
// it now and then: the time since the last call is lost if the host goes off and does
// not know the time afterwards.
func (c *Clock) Save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.save(c.now())
}

func (c *Clock) save(m moment) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return files.Write(c.file, append(data, '\n'), 0o600)
}

// system is the host that we run on.
type system struct{}

func (system) BootID() (string, error) { return process.BootID() }

func (system) Uptime() (time.Duration, error) { return process.Uptime() }

func (system) Wall() time.Time { return time.Now().Round(0) }

// Synchronised asks the kernel, which learns it from whatever keeps its clock right (NTP,
// PTP) and forgets it when that stops; adjtimex(2), STA_UNSYNC.
func (system) Synchronised() bool {
	var t unix.Timex
	_, err := unix.Adjtimex(&t)
	return err == nil && t.Status&unix.STA_UNSYNC == 0
}
