package store

import (
	"testing"

	"banger"
)

func TestLists_WhatAChangeMayHaveOvertakenIsNotKept(t *testing.T) {
	list := []banger.Session{{ID: "a"}}
	var l lists
	_, _, before := l.get("")
	done := l.change()
	l.keep("", list, before, 1)
	_, _, during := l.get("")
	l.keep("", list, during, 1) // it may have been read before the commit, and be asked for after it
	if _, kept, _ := l.get(""); kept {
		t.Error("a list is kept while a change is committed")
	}
	done()
	l.keep("", list, during, 1)
	_, kept, after := l.get("")
	if kept {
		t.Error("a list is kept that was read before a change")
	}
	l.keep("", list, after, maxListBytes+1)
	if _, kept, _ := l.get(""); kept {
		t.Error("a list is kept whatever its size")
	}
	l.keep("", list, after, 1)
	got, kept, _ := l.get("")
	if !kept || len(got) != 1 {
		t.Fatalf("kept %v: %v", kept, got)
	}
	clear(got)
	if again, _, _ := l.get(""); again[0].ID != "a" {
		t.Error("who gets a list changes the one that is kept")
	}
}
