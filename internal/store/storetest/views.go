package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

func viewTests() []conformance {
	return []conformance{
		{"view/is kept, changed and removed by its owner alone", viewLife},
		{"view/lists hold one's own and the shared", viewLists},
		{"view/a person has so many", viewMost},
	}
}

func view(n int, owner string, shared bool) store.View {
	at := Start().Add(time.Duration(n) * time.Second)
	return store.View{ID: fmt.Sprintf("view-%03d", n), Owner: owner, Page: "findings", Shared: shared, CreatedAt: at, UpdatedAt: at, Doc: json.RawMessage(fmt.Sprintf(`{"name":"%d"}`, n))}
}

func viewLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.CreateView(ctx, view(1, "ada", false), 5))
	same(t, view(1, "ada", false), must(s.View(ctx, "view-001"))(t))
	clock(t, s).Advance(time.Hour)
	changed := view(1, "ada", true)
	changed.Doc = json.RawMessage(`{"name":"other"}`)
	ok(t, s.UpdateView(ctx, changed))
	changed.UpdatedAt = Start().Add(time.Hour)
	same(t, changed, must(s.View(ctx, "view-001"))(t))
	foreign := changed
	foreign.Owner = "bob"
	sentinel(t, s.UpdateView(ctx, foreign), store.ErrNotFound)
	sentinel(t, s.DeleteView(ctx, "bob", "view-001"), store.ErrNotFound)
	long := view(2, "ada", false)
	long.Doc = json.RawMessage(`{"x":"` + strings.Repeat("x", 11<<10) + `"}`)
	code(t, s.CreateView(ctx, long, 5), fault.Invalid)
	ok(t, s.DeleteView(ctx, "ada", "view-001"))
	sentinel(t, s.DeleteView(ctx, "ada", "view-001"), store.ErrNotFound)
	_, err := s.View(ctx, "view-001")
	sentinel(t, err, store.ErrNotFound)
}

func viewLists(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for n, v := range []store.View{view(0, "ada", false), view(1, "bob", false), view(2, "bob", true), view(3, "ada", true), view(4, "ada", false)} {
		_ = n
		ok(t, s.CreateView(ctx, v, 5))
	}
	read := func(owner string) string {
		var ids []string
		for cursor := ""; ; {
			page, next, err := s.ListViews(ctx, owner, 2, cursor)
			ok(t, err)
			for _, v := range page {
				ids = append(ids, strings.TrimPrefix(v.ID, "view-00"))
			}
			if cursor = next; cursor == "" {
				return strings.Join(ids, " ")
			}
		}
	}
	same(t, "0 2 3 4", read("ada"))
	same(t, "1 2 3", read("bob"))
	same(t, "2 3", read("eve"))
	_, next, err := s.ListViews(ctx, "ada", 2, "")
	ok(t, err)
	_, _, err = s.ListViews(ctx, "bob", 2, next)
	code(t, err, fault.Invalid)
}

func viewMost(t *testing.T, s *store.Store) {
	var made, refused atomic.Int32
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			switch err := s.CreateView(t.Context(), view(n, "ada", false), 3); {
			case err == nil:
				made.Add(1)
			case fault.Is(err, fault.Exhausted):
				refused.Add(1)
			default:
				t.Errorf("create: %v", err)
			}
		})
	}
	wg.Wait()
	same(t, [2]int32{3, 5}, [2]int32{made.Load(), refused.Load()})
	page, _, err := s.ListViews(t.Context(), "ada", 10, "")
	ok(t, err)
	same(t, 3, len(page))
	ok(t, s.DeleteView(t.Context(), "ada", page[0].ID))
	ok(t, s.CreateView(t.Context(), view(20, "ada", false), 3))
}
