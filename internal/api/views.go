package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// Views keeps questions about lists.
type Views interface {
	CreateView(ctx context.Context, v store.View, most int64) error
	UpdateView(ctx context.Context, v store.View) error
	DeleteView(ctx context.Context, owner, id string) error
	ViewReader
}

// ViewReader reads views.
type ViewReader interface {
	View(ctx context.Context, id string) (store.View, error)
	ListViews(ctx context.Context, owner string, limit int, cursor string) ([]store.View, string, error)
}

const (
	// maxViews is how many views a person has.
	maxViews = 100
	// maxViewQuery bounds what a view asks, in bytes of JSON.
	maxViewQuery = 8 << 10
)

// ViewRequest is what a view says.
type ViewRequest struct {
	Name   string         `json:"name" minLength:"1" maxLength:"100"`
	Page   string         `json:"page" enum:"findings,remediations,approvals,exceptions"`
	Query  map[string]any `json:"query" nullable:"false" doc:"Filters, order and columns, as the page has them: an object of at most 8 KB."`
	Shared bool           `json:"shared,omitempty" doc:"Whether everybody may read it; only its owner may change it."`
}

// SavedView is a view that is kept.
type SavedView struct {
	ID        string         `json:"id"`
	Name      string         `json:"name" doc:"Untrusted text."`
	Page      string         `json:"page"`
	Query     map[string]any `json:"query" nullable:"false"`
	Shared    bool           `json:"shared"`
	Owner     string         `json:"owner"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
}

// viewDoc is what the store keeps of a view.
type viewDoc struct {
	Name  string         `json:"name"`
	Query map[string]any `json:"query"`
}

type (
	createViewInput struct{ Body ViewRequest }
	updateViewInput struct {
		ViewPath
		Body ViewRequest
	}
	viewOutput struct{ Body SavedView }
)

// ViewPath names a view. It is exported because huma skips embedded fields that are
// not.
type ViewPath struct {
	ID string `path:"id" maxLength:"128"`
}

func (a *API) registerViews() {
	const tag = "views"
	register(a, operation{id: "list-views", method: http.MethodGet, path: "/v1/views", summary: "List one's own and the shared views, the oldest first", tag: tag}, auth.FindingRead,
		func(ctx context.Context, p auth.Principal, in *Paging) (*page[SavedView], error) {
			views, next, err := a.cfg.Views.ListViews(ctx, p.Name, in.Limit, in.Cursor)
			if err != nil {
				return nil, err
			}
			out := make([]SavedView, 0, len(views))
			for _, v := range views {
				one, err := savedView(v)
				if err != nil {
					return nil, err
				}
				out = append(out, one)
			}
			return pageOf(out, next), nil
		})
	register(a, operation{id: "create-view", method: http.MethodPost, path: "/v1/views", summary: "Keep a view", tag: tag, status: http.StatusCreated}, auth.FindingRead,
		func(ctx context.Context, p auth.Principal, in *createViewInput) (*viewOutput, error) {
			id, err := a.newID("view")
			if err != nil {
				return nil, err
			}
			now := a.cfg.Clock.Now().UTC()
			v, err := viewOf(id, p.Name, in.Body)
			if err != nil {
				return nil, err
			}
			v.CreatedAt, v.UpdatedAt = now, now
			if err := a.cfg.Views.CreateView(ctx, v, maxViews); err != nil {
				return nil, err
			}
			out, err := savedView(v)
			return &viewOutput{out}, err
		})
	register(a, operation{id: "update-view", method: http.MethodPut, path: "/v1/views/{id}", summary: "Change one's own view", tag: tag}, auth.FindingRead,
		func(ctx context.Context, p auth.Principal, in *updateViewInput) (*viewOutput, error) {
			was, err := a.ownView(ctx, p, in.ID)
			if err != nil {
				return nil, err
			}
			v, err := viewOf(in.ID, p.Name, in.Body)
			if err != nil {
				return nil, err
			}
			v.CreatedAt, v.UpdatedAt = was.CreatedAt, a.cfg.Clock.Now().UTC()
			if err := a.cfg.Views.UpdateView(ctx, v); err != nil {
				return nil, err
			}
			out, err := savedView(v)
			return &viewOutput{out}, err
		})
	register(a, operation{id: "delete-view", method: http.MethodDelete, path: "/v1/views/{id}", summary: "Forget one's own view", tag: tag, status: http.StatusNoContent}, auth.FindingRead,
		func(ctx context.Context, p auth.Principal, in *ViewPath) (*struct{}, error) {
			v, err := a.ownView(ctx, p, in.ID)
			if err != nil {
				return nil, err
			}
			return nil, a.cfg.Views.DeleteView(ctx, v.Owner, v.ID)
		})
}

// ownView gives the view with id if it is p's. One of somebody else that is not shared
// is as good as none.
func (a *API) ownView(ctx context.Context, p auth.Principal, id string) (store.View, error) {
	v, err := a.cfg.Views.View(ctx, id)
	switch {
	case fault.Is(err, fault.NotFound) || err == nil && v.Owner != p.Name && !v.Shared:
		return v, fault.Errorf(fault.NotFound, "", "there is no view %q of yours", id).WithHint("list them: GET /v1/views")
	case err != nil:
		return v, err
	case v.Owner != p.Name:
		return v, fault.Errorf(fault.Denied, "change view", "the view is %s's", v.Owner).WithHint("keep it as a view of your own")
	}
	return v, nil
}

func viewOf(id, owner string, r ViewRequest) (store.View, error) {
	query, err := json.Marshal(r.Query)
	if err != nil {
		return store.View{}, fault.E(fault.Invalid, "keep view", err)
	}
	if len(query) > maxViewQuery {
		return store.View{}, fault.Errorf(fault.Invalid, "keep view", "its query has %d bytes, the limit is %d", len(query), maxViewQuery).WithHint("name fewer values in the filter")
	}
	doc, err := json.Marshal(viewDoc{r.Name, r.Query})
	if err != nil {
		return store.View{}, fault.E(fault.Invalid, "keep view", err)
	}
	return store.View{ID: id, Owner: owner, Page: r.Page, Shared: r.Shared, Doc: doc}, nil
}

func savedView(v store.View) (SavedView, error) {
	var d viewDoc
	if err := json.Unmarshal(v.Doc, &d); err != nil {
		return SavedView{}, fault.E(fault.Internal, "read view "+v.ID, err)
	}
	if d.Query == nil {
		d.Query = map[string]any{}
	}
	return SavedView{ID: v.ID, Name: d.Name, Page: v.Page, Query: d.Query, Shared: v.Shared, Owner: v.Owner, CreatedAt: v.CreatedAt, UpdatedAt: v.UpdatedAt}, nil
}

// newID gives prefix and 20 random hexadecimal digits.
func (a *API) newID(prefix string) (string, error) {
	var raw [10]byte
	if _, err := io.ReadFull(a.cfg.Random, raw[:]); err != nil {
		return "", fault.E(fault.Internal, "make id", fmt.Errorf("read random source: %w", err))
	}
	return prefix + "-" + hex.EncodeToString(raw[:]), nil
}
