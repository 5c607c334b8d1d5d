package guestbudget_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"banger/internal/guestbudget"
)

func TestRate_IsABurstAndThenSoMuchInATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := guestbudget.NewRate(60, time.Minute, 100)
		if !r.Take(100) || r.Take(1) {
			t.Error("a full bucket does not have its burst, or more")
		}
		time.Sleep(10 * time.Second)
		if !r.Take(10) || r.Take(1) {
			t.Error("10 s do not give 10 of 60 a minute")
		}
		began := time.Now()
		if err := r.Await(t.Context(), 5); err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("5 have come after %s, %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if r.Await(ctx, 50) == nil || r.Await(t.Context(), 101) == nil {
			t.Error("what cannot come has come")
		}
	})
}

func TestBytes_AreHeldAndGivenBack(t *testing.T) {
	b := guestbudget.NewBytes(10)
	if !b.Take(7) || b.Take(4) || !b.Take(3) || b.Take(1) {
		t.Error("10 bytes are not 10 bytes")
	}
	b.Give(7)
	if !b.Take(7) || b.Take(1) {
		t.Error("what was given back cannot be taken")
	}
}
