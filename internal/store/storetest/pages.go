package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"banger"
	"banger/internal/records"
)

func testSessionResolve(t *testing.T, s Store) {
	vm, other := createVM(t, s, "one"), createVM(t, s, "two")
	createSession(t, s, other, "Build-other")
	a, b := createSession(t, s, vm, "Build"), createSession(t, s, vm, "Build-2")
	odd := createSession(t, s, vm, "Z\U0010ffff")
	for ref, want := range map[string]banger.Session{
		string(a.ID): a, "Build": a, "Build-": b, "Build-2": b, string(b.ID[:len(b.ID)-1]): b, "Z": odd, "Z\U0010ffff": odd,
	} {
		got, err := s.ResolveSession(t.Context(), vm.ID, ref)
		if err != nil {
			t.Fatalf("%q: %v", ref, err)
		}
		wantEqual(t, ref, got, want)
	}
	for ref, code := range map[string]banger.Code{
		"": banger.CodeInvalid, "Bui": banger.CodeAmbiguous, "Build-other": banger.CodeNotFound, "Y": banger.CodeNotFound, "\xff": banger.CodeNotFound, "a%": banger.CodeNotFound,
	} {
		_, err := s.ResolveSession(t.Context(), vm.ID, ref)
		wantCode(t, err, code, "")
		failed, _ := errors.AsType[*banger.Error](err)
		if want := map[banger.Code]int{banger.CodeAmbiguous: 2, banger.CodeNotFound: 3}[code]; len(failed.Candidates) != want {
			t.Errorf("%q: candidates %q", ref, failed.Candidates)
		}
	}
}

// testSessionPages changes what it reads between two pages: what is there all the while is
// in one of them.
func testSessionPages(t *testing.T, s Store) {
	vm, other := createVM(t, s, "one"), createVM(t, s, "two")
	var want []string
	var all []banger.Session
	for i := range 7 {
		x := createSession(t, s, vm, fmt.Sprint(i))
		createSession(t, s, other, fmt.Sprint(i))
		if i != 3 {
			want = append(want, x.Name)
		}
		all = append(all, x)
	}
	match := func(x banger.Session) bool { return x.Name != "3" }
	var got []string
	for after := int64(0); ; {
		page, next, err := s.PageSessions(t.Context(), records.SessionPageRequest{VM: vm.ID, Match: match, After: after, Limit: 2, Whole: true})
		if err != nil || len(page) > 2 || len(page) == 0 {
			t.Fatalf("a page of %d sessions, %v", len(page), err)
		}
		for _, x := range page {
			got = append(got, x.Name)
			wantEqual(t, "launch", x.Launch, all[0].Launch)
		}
		if last := page[len(page)-1]; last.Name == "1" {
			if err := s.DeleteSession(t.Context(), last.Key()); err != nil {
				t.Fatal(err)
			}
			createSession(t, s, vm, "7")
			want = append(want, "7")
		}
		if after = next; after == 0 {
			break
		}
	}
	wantEqual(t, "sessions of all pages", got, want)
}

func testSessionPageBytes(t *testing.T, s Store) {
	vm := createVM(t, s, "one")
	const sessions = 4 // of 3 MiB each
	for i := range sessions {
		x := newSession(vm, fmt.Sprint(i))
		x.Env = map[string]banger.ByteString{"BIG": banger.ByteString(strings.Repeat("x", 3<<20))}
		if _, _, err := s.CreateSession(t.Context(), x, ""); err != nil {
			t.Fatal(err)
		}
	}
	r := records.SessionPageRequest{Match: func(banger.Session) bool { return true }, Limit: 100, Whole: true}
	var sizes []int
	for {
		page, next, err := s.PageSessions(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(page))
		if r.After = next; next == 0 {
			break
		}
	}
	wantEqual(t, "sizes of pages", sizes, []int{3, 1})
}
