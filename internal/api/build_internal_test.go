package api

import (
	"context"
	"net/http/httptest"
	"testing"
)

// Who only watches a server does not make it hold the schemas of all endpoints. Seen to
// fail where health is answered by them.
func TestHealthBuildsNothing(t *testing.T) {
	t.Parallel()
	a := with(Config{Ready: func(context.Context) error { return nil }})
	w := httptest.NewRecorder()
	a.ServeHealth(w, httptest.NewRequestWithContext(t.Context(), "GET", "/v1/health", nil))
	if w.Code != 200 || a.mux != nil {
		t.Errorf("answered %d, endpoints are there: %v", w.Code, a.mux != nil)
	}
	if len(a.Operations()) == 0 || a.mux == nil {
		t.Error("who asks for them finds no endpoints")
	}
}
