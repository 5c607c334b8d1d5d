package main

import (
	"context"
	"fmt"
	"time"

	"banger"
	"banger/internal/paths"
)

// wait counts the processor's time too: what waiters cost whom nothing concerns.
func wait(ctx context.Context, p paths.Paths) error {
	d, err := open(ctx, p, gone{})
	if err != nil {
		return err
	}
	defer d.Close()
	records, sessions := d.Store, d.Sessions.Sessions
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all, err := records.Sessions.ListSessions(ctx, "")
	if err != nil {
		return err
	}
	ended := make(chan string, len(all))
	for _, x := range all {
		go func() {
			if _, err := sessions.WaitSession(ctx, string(x.VMID), string(x.ID)); err == nil {
				ended <- x.Name
			}
		}()
	}
	quiet()
	const events = 3
	var longest time.Duration
	before := processor()
	for _, x := range all[len(all)/2:][:events] {
		began := time.Now()
		if _, err := records.Sessions.UpdateSession(ctx, x.Key(), func(x *banger.Session) error {
			x.Status, x.Sequence = banger.StatusExited, x.Sequence+1
			return nil
		}); err != nil {
			return err
		}
		if name := <-ended; name != x.Name {
			return fmt.Errorf("who waits for %s is told first, not who waits for %s", name, x.Name)
		}
		longest = max(longest, time.Since(began))
		quiet()
	}
	return result(longest.Nanoseconds(), (processor()-before).Nanoseconds()/events)
}

// quiet returns when the process has had nothing to do for a while. Nothing reports that a
// goroutine has begun to wait, or that those whom an event does not concern are done with it.
func quiet() {
	for before := processor(); ; {
		time.Sleep(300 * time.Millisecond)
		now := processor()
		if now-before < 3*time.Millisecond {
			return
		}
		before = now
	}
}

func find(ctx context.Context, p paths.Paths) error {
	d, err := open(ctx, p, gone{})
	if err != nil {
		return err
	}
	defer d.Close()
	sessions := d.Sessions.Sessions
	if _, err := sessions.SummarizeSessions(ctx, banger.SessionFilter{VM: "v0"}); err != nil {
		return err
	}
	const lookups = 20
	began := time.Now()
	for i := range lookups {
		if _, err := sessions.GetSession(ctx, "v0", fmt.Sprint("s", 100+i)); err != nil {
			return err
		}
	}
	took := time.Since(began) / lookups
	began = time.Now()
	list, err := sessions.SummarizeSessions(ctx, banger.SessionFilter{VM: "v0"})
	if err != nil || len(list) == 0 {
		return fmt.Errorf("%d sessions, %w", len(list), err)
	}
	return result(took.Nanoseconds(), time.Since(began).Nanoseconds())
}
