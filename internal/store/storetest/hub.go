package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

func hubTests() []conformance {
	return []conformance{
		{"insights and actions are kept", hubKept},
		{"insights and actions have a limit by kind and region", hubLimit},
		{"insights and actions are paged", hubPaged},
	}
}

func hubObject(kind store.HubKind, region string, i int) store.HubObject {
	return store.HubObject{
		Kind: kind, ARN: fmt.Sprintf("arn:aws:securityhub:%s:111111111111:%s/%d", region, kind, i), Region: region,
		CreatedAt: Start().Add(time.Duration(i/2) * time.Second), Rev: 1, Doc: json.RawMessage(fmt.Sprintf(`{"name":"%d"}`, i)),
	}
}

func hubKept(t *testing.T, s *store.Store) {
	o := hubObject(store.HubInsight, "eu-west-1", 0)
	ok(t, s.CreateHubObject(t.Context(), o, 5, event("a")))
	sentinel(t, s.CreateHubObject(t.Context(), o, 5, store.Effects{}), store.ErrExists)
	same(t, []store.HubObject{o}, must(s.HubObjects(t.Context(), store.HubInsight, []string{o.ARN, o.ARN, "other", "\x00"}))(t))
	same(t, 0, len(must(s.HubObjects(t.Context(), store.HubAction, []string{o.ARN}))(t)))
	next := o
	next.Doc = json.RawMessage(`{"name":"changed"}`)
	ok(t, s.UpdateHubObject(t.Context(), next, store.Effects{}))
	sentinel(t, s.UpdateHubObject(t.Context(), next, store.Effects{}), store.ErrConflict)
	next.Rev = 2
	same(t, []store.HubObject{next}, must(s.HubObjects(t.Context(), store.HubInsight, []string{o.ARN}))(t))
	sentinel(t, s.DeleteHubObject(t.Context(), store.HubAction, o.ARN, store.Effects{}), store.ErrNotFound)
	if err := s.DeleteHubObject(t.Context(), store.HubInsight, o.ARN, broken()); err == nil {
		t.Error("effects that cannot be written were")
	}
	same(t, 1, len(must(s.HubObjects(t.Context(), store.HubInsight, []string{o.ARN}))(t)))
	ok(t, s.DeleteHubObject(t.Context(), store.HubInsight, o.ARN, store.Effects{}))
	sentinel(t, s.DeleteHubObject(t.Context(), store.HubInsight, o.ARN, store.Effects{}), store.ErrNotFound)
	for name, spoil := range map[string]func(*store.HubObject){
		"no object": func(o *store.HubObject) { o.Doc = json.RawMessage(`[]`) }, "no ARN": func(o *store.HubObject) { o.ARN = "" },
		"huge": func(o *store.HubObject) { o.Doc = json.RawMessage(`{"a":"` + strings.Repeat("x", 300<<10) + `"}`) }, "no region": func(o *store.HubObject) { o.Region = "" },
	} {
		bad := o
		spoil(&bad)
		if err := s.CreateHubObject(t.Context(), bad, 5, store.Effects{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func hubLimit(t *testing.T, s *store.Store) {
	const most = 5
	var wg sync.WaitGroup
	var mu sync.Mutex
	made, full := 0, 0
	for i := range 12 {
		wg.Go(func() {
			err := s.CreateHubObject(t.Context(), hubObject(store.HubAction, "eu-west-1", i), most, store.Effects{})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				made++
			case fault.Is(err, fault.Exhausted):
				full++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made != most || full != 12-most {
		t.Errorf("%d made, %d refused", made, full)
	}
	ok(t, s.CreateHubObject(t.Context(), hubObject(store.HubAction, "us-east-1", 1), most, store.Effects{}))
	ok(t, s.CreateHubObject(t.Context(), hubObject(store.HubInsight, "eu-west-1", 1), most, store.Effects{}))
	all, _, err := s.ListHubObjects(t.Context(), store.HubAction, "eu-west-1", 0, "")
	ok(t, err)
	ok(t, s.DeleteHubObject(t.Context(), store.HubAction, all[0].ARN, store.Effects{}))
	ok(t, s.CreateHubObject(t.Context(), hubObject(store.HubAction, "eu-west-1", 50), most, store.Effects{}))
	code(t, s.CreateHubObject(t.Context(), hubObject(store.HubAction, "eu-west-1", 51), most, store.Effects{}), fault.Exhausted)
}

func hubPaged(t *testing.T, s *store.Store) {
	for i := range 7 { // two have each time
		ok(t, s.CreateHubObject(t.Context(), hubObject(store.HubInsight, []string{"eu-west-1", "us-east-1"}[i%3/2], i), 50, store.Effects{}))
	}
	ok(t, s.CreateHubObject(t.Context(), hubObject(store.HubAction, "eu-west-1", 1), 50, store.Effects{}))
	walk := func(region string) (names []string) {
		cursor := ""
		for {
			page, next, err := s.ListHubObjects(t.Context(), store.HubInsight, region, 2, cursor)
			ok(t, err)
			for _, o := range page {
				names = append(names, string(o.Doc))
			}
			if cursor = next; next == "" {
				return names
			}
		}
	}
	same(t, 7, len(walk("")))
	same(t, []string{`{"name":"2"}`, `{"name":"5"}`}, walk("us-east-1"))
	_, next, err := s.ListHubObjects(t.Context(), store.HubInsight, "", 2, "")
	ok(t, err)
	for _, kind := range []store.HubKind{store.HubAction, store.HubInsight} {
		_, _, err = s.ListHubObjects(t.Context(), kind, "us-east-1", 2, next)
		code(t, err, fault.Invalid)
	}
}
