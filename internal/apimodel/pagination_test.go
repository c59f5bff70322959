package apimodel_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmespath/go-jmespath"

	"github.com/parry-security/parry/internal/apimodel"
)

func TestPaginatorsAndWaitersFitTheirServices(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks all services; run `make test`")
	}
	t.Parallel()
	c := load(t)
	pages, waits := 0, 0
	for _, name := range c.Services() {
		s, err := c.Service(name)
		if err != nil {
			t.Fatal(err)
		}
		operations, err := s.Paginators()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range operations {
			checkPaginator(t, s, name)
		}
		waiters, err := s.Waiters()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range waiters {
			checkWaiter(t, s, name)
		}
		pages, waits = pages+len(operations), waits+len(waiters)
	}
	if pages < 3000 || waits < 350 {
		t.Errorf("%d paginators and %d waiters, want over 3,000 and 350", pages, waits)
	}
}

func checkPaginator(t *testing.T, s *apimodel.Service, name string) {
	t.Helper()
	p, err := s.Paginator(name)
	if err != nil {
		t.Errorf("%s:%s: %v", s.Name, name, err)
		return
	}
	op, _ := s.Operation(name)
	for _, member := range append(p.InputTokens, p.LimitKey) {
		if _, ok := op.Input.Member(member); !ok && member != "" {
			t.Errorf("%s:%s has no input member %s", s.Name, name, member)
		}
	}
	for _, expression := range slices.Concat(p.OutputTokens, p.ResultKeys, p.NonAggregateKeys, []string{p.MoreResults}) {
		if _, err := jmespath.Compile(expression); err != nil && expression != "" {
			t.Errorf("%s:%s: %s: %v", s.Name, name, expression, err)
		}
	}
}

func checkWaiter(t *testing.T, s *apimodel.Service, name string) {
	t.Helper()
	w, err := s.Waiter(name)
	if err != nil {
		t.Errorf("%s: %v", s.Name, err)
		return
	}
	if _, ok := s.Operation(w.Operation); !ok || w.Delay <= 0 || w.MaxAttempts <= 0 || len(w.Acceptors) == 0 {
		t.Errorf("%s waiter %s: %+v", s.Name, name, w)
	}
	for _, a := range w.Acceptors {
		_, isStatus := a.Expected.(float64)
		if _, err := jmespath.Compile(a.Argument); a.Argument != "" && err != nil {
			t.Errorf("%s waiter %s: %s: %v", s.Name, name, a.Argument, err)
		}
		if !slices.Contains([]string{"success", "failure", "retry"}, a.State) || isStatus != (a.Matcher == "status") ||
			!slices.Contains([]string{"status", "error", "path", "pathAll", "pathAny"}, a.Matcher) {
			t.Errorf("%s waiter %s: %+v", s.Name, name, a)
		}
	}
}

func TestPaginatorAndWaiterAsBotocoreHasThem(t *testing.T) {
	t.Parallel()
	s3, err := load(t).Service("s3")
	if err != nil {
		t.Fatal(err)
	}
	p, err := s3.Paginator("list_object_versions")
	if err != nil {
		t.Fatal(err)
	}
	want := apimodel.Paginator{
		InputTokens: []string{"KeyMarker", "VersionIdMarker"}, OutputTokens: []string{"NextKeyMarker", "NextVersionIdMarker"}, LimitKey: "MaxKeys",
		MoreResults: "IsTruncated", ResultKeys: []string{"Versions", "DeleteMarkers", "CommonPrefixes"},
		NonAggregateKeys: []string{"RequestCharged", "Prefix"},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	w, err := s3.Waiter("bucket_not_exists")
	if err != nil {
		t.Fatal(err)
	}
	wantWaiter := apimodel.Waiter{
		Name: "BucketNotExists", Operation: "HeadBucket", Delay: 5, MaxAttempts: 20,
		Acceptors: []apimodel.Acceptor{{State: "success", Matcher: "status", Expected: 404.0}},
	}
	if diff := cmp.Diff(wantWaiter, w); diff != "" {
		t.Error(diff)
	}
}
