package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sort"
	"sync"

	"golang.org/x/sync/errgroup"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestrpc"
)

// scanParallel is how many sessions are taken in at once. Each may wait for the
// disk, when its end must be written.
const scanParallel = 8

// lister lists sessions page by page. Safe for concurrent use.
type lister struct {
	registry *registry
	turns    *turns

	mu    sync.Mutex         // guards names
	names []banger.SessionID // of all on the disk, between the pages of a list
}

// list answers with one page. Of a list of all, the names are kept from its first page
// to its last; of sessions that have ended nothing is.
func (l *lister) list(_ context.Context, p guestrpc.ListParams) (guestrpc.ListPage, error) {
	if p.Limit < 1 || p.Limit > guestapi.MaxGuestPage || len(p.IDs) > guestapi.MaxGuestPage {
		return guestrpc.ListPage{}, banger.Errorf(banger.CodeInvalid, "cannot list sessions: a page has 1 to %d", guestapi.MaxGuestPage)
	}
	ids := p.IDs
	if len(ids) == 0 {
		var err error
		if ids, err = l.namesOnDisk(p.After == ""); err != nil {
			return guestrpc.ListPage{}, err
		}
	}
	begin := sort.Search(len(ids), func(i int) bool { return ids[i] > p.After })
	end := min(begin+p.Limit, len(ids))
	page, taken, err := l.page(ids[begin:end])
	if err != nil {
		return page, err
	}
	if end = begin + taken; end < len(ids) {
		page.Next = ids[end-1]
		return page, nil
	}
	if len(p.IDs) == 0 {
		l.keepNames(nil)
	}
	l.turns.begin()
	return page, nil
}

// page reports sessions, as many as fit, and returns of how many of the ids.
func (l *lister) page(ids []banger.SessionID) (page guestrpc.ListPage, taken int, err error) {
	page.Sessions = []json.RawMessage{}
	bytes := 0
	for some := range slices.Chunk(ids, scanParallel) { // few, since what does not fit is read again
		for _, report := range l.reports(some) {
			data, err := json.Marshal(report)
			if err != nil {
				return page, 0, err
			}
			if report == nil {
				taken++
				continue
			}
			if bytes += len(data); bytes > guestrpc.PageBytes && len(page.Sessions) > 0 {
				return page, taken, nil
			}
			page.Sessions = append(page.Sessions, data)
			taken++
		}
	}
	return page, taken, nil
}

// reports takes in sessions and returns their reports, nil for one that does not exist.
func (l *lister) reports(ids []banger.SessionID) []*guestapi.GuestSession {
	reports := make([]*guestapi.GuestSession, len(ids))
	var group errgroup.Group
	group.SetLimit(scanParallel)
	for i, id := range ids {
		group.Go(func() error {
			unlock := l.registry.claim(id)
			defer unlock()
			if !banger.ValidID(string(id)) || l.registry.forgetRemoved(id) {
				return nil
			}
			if x := l.registry.takeIn(id); x != nil {
				report := x.report()
				reports[i] = &report
			}
			return nil
		})
	}
	_ = group.Wait()
	return reports
}

// namesOnDisk returns the ids of the sessions on the disk, ascending: as the last first
// page found them, unless anew is set.
func (l *lister) namesOnDisk(anew bool) ([]banger.SessionID, error) {
	l.mu.Lock()
	names := l.names
	l.mu.Unlock()
	if names != nil && !anew {
		return names, nil
	}
	names, err := readNames(l.registry.parent)
	if err != nil {
		return nil, fmt.Errorf("cannot list sessions: %w", err)
	}
	l.keepNames(names)
	return names, nil
}

func (l *lister) keepNames(names []banger.SessionID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names = names
}

// readNames reads the names of session directories, some at a time.
func readNames(dir string) ([]banger.SessionID, error) {
	names := []banger.SessionID{}
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return names, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for {
		some, err := f.Readdirnames(1024)
		for _, name := range some {
			if banger.ValidID(name) {
				names = append(names, banger.SessionID(name))
			}
		}
		if errors.Is(err, io.EOF) {
			slices.Sort(names)
			return names, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
