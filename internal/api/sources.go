package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/ingest"
	"github.com/parry-security/parry/internal/store"
)

// Sources are queues and hubs that findings are read from, what they sent in
// vain, and the way in for files.
type Sources interface {
	Reports() []ingest.Report
	ListRejected(ctx context.Context, source string, limit int, cursor string) ([]store.Rejected, string, error)
	Rejected(ctx context.Context, id string) (store.Rejected, error)
	DropRejected(ctx context.Context, id, by string) error
	// RetryRejected sends a message in as its source may speak; one of a source
	// that is not configured as own may.
	RetryRejected(ctx context.Context, id, by string, own ingest.Source) error
	Import(ctx context.Context, own ingest.Source, documents []ImportDocument) (ImportResult, error)
}

// Source is one that reads by itself, and what it did on this node.
type Source struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind" enum:"queue,hub"`
	From     string   `json:"from" doc:"The queue's URL, or the hub's region."`
	Accounts []string `json:"accounts" nullable:"false"`
	Products []string `json:"products" nullable:"false"`
	Trusted  bool     `json:"trusted"`

	Messages int64 `json:"messages" doc:"Messages or pages read since this node started."`
	Accepted int64 `json:"accepted" doc:"Findings accepted."`
	Rejected int64 `json:"rejected" doc:"Findings or messages kept aside."`
	Events   int64 `json:"events" doc:"Events put on the bus."`
	Archived int64 `json:"archived" doc:"Findings archived because the hub has them no more."`

	LastRead     time.Time `json:"last_read,omitzero"`
	LastReceived time.Time `json:"last_received,omitzero"`
	Problem      string    `json:"problem,omitempty" doc:"Why it reads nothing at present."`
	ProblemAt    time.Time `json:"problem_at,omitzero"`
}

func sourceOf(r ingest.Report) Source {
	s := Source{
		Name: r.Name, Kind: r.Kind, From: r.From, Accounts: r.Accounts, Products: r.Products, Trusted: r.Trusted, Messages: r.Messages,
		Accepted: r.Accepted, Rejected: r.Rejected, Events: r.Events, Archived: r.Archived, LastRead: r.LastRead, LastReceived: r.LastReceived,
		Problem: r.Problem,
	}
	if s.Problem != "" {
		s.ProblemAt = r.ProblemAt
	}
	return s
}

// Rejected is a message, or a finding of one, that could not be accepted.
type Rejected struct {
	ID        string    `json:"id"`
	Source    string    `json:"source"`
	Place     string    `json:"place" doc:"The queue's message id, or file and line."`
	FindingID string    `json:"finding_id,omitempty"`
	Code      string    `json:"code"`
	Reason    string    `json:"reason"`
	At        time.Time `json:"at" doc:"When it came last."`
	Times     int64     `json:"times" doc:"How often it came."`
	Cut       bool      `json:"cut,omitempty" doc:"Whether the message was too long to be kept whole."`
	Body      string    `json:"body,omitempty" doc:"The message; only where one is asked for."`
}

func rejectedOf(r store.Rejected) Rejected {
	return Rejected{
		ID: r.ID, Source: r.Source, Place: r.Place, FindingID: r.FindingID, Code: r.Code, Reason: r.Reason, At: r.At, Times: r.Times, Cut: r.Cut,
		Body: strings.ToValidUTF8(string(r.Body), "\ufffd"),
	}
}

// ImportDocument is one document of a file: a finding in ASFF, or an event of
// EventBridge.
type ImportDocument struct {
	Text  string `json:"text" maxLength:"600000" doc:"The document as text."`
	Place string `json:"place" maxLength:"1024" doc:"Where it stands: file and line."`
}

// ImportResult says what became of the documents.
type ImportResult struct {
	Accepted int             `json:"accepted" doc:"Findings accepted."`
	Rejected []ImportProblem `json:"rejected" nullable:"false"`
}

// ImportProblem is a document, or a finding of one, that was not accepted.
type ImportProblem struct {
	Index  int    `json:"index" doc:"Which document, from 0."`
	Place  string `json:"place"`
	ID     string `json:"id,omitempty" doc:"The finding's Id, where it could be read."`
	Code   string `json:"code"`
	Reason string `json:"reason"`
}

type rejectedInput struct {
	Paging
	Source string `query:"source" maxLength:"256"`
}

type rejectedPath struct {
	ID string `path:"id" maxLength:"64"`
}

type importInput struct {
	Body struct {
		Documents []ImportDocument `json:"documents" maxItems:"500" minItems:"1"`
	}
}

func (a *API) registerSources() {
	const tag = "sources"
	register(a, operation{id: "list-sources", method: http.MethodGet, path: "/v1/sources", summary: "List queues and hubs with what they brought", tag: tag}, auth.SourceRead,
		func(_ context.Context, p auth.Principal, _ *struct{}) (*page[Source], error) {
			if err := auth.Authorize(p, auth.SourceRead, auth.All); err != nil {
				return nil, err
			}
			var items []Source
			for _, r := range a.cfg.Sources.Reports() {
				items = append(items, sourceOf(r))
			}
			return pageOf(items, ""), nil
		})
	register(a, operation{id: "list-rejected", method: http.MethodGet, path: "/v1/rejected", summary: "List what could not be accepted, the latest first", tag: tag}, auth.SourceRead,
		func(ctx context.Context, p auth.Principal, in *rejectedInput) (*page[Rejected], error) {
			if err := auth.Authorize(p, auth.SourceRead, auth.All); err != nil {
				return nil, err
			}
			found, next, err := a.cfg.Sources.ListRejected(ctx, in.Source, in.Limit, in.Cursor)
			if err != nil {
				return nil, err
			}
			items := make([]Rejected, 0, len(found))
			for _, r := range found {
				items = append(items, rejectedOf(r))
			}
			return pageOf(items, next), nil
		})
	register(a, operation{id: "get-rejected", method: http.MethodGet, path: "/v1/rejected/{id}", summary: "Show what could not be accepted, whole", tag: tag}, auth.SourceRead,
		func(ctx context.Context, p auth.Principal, in *rejectedPath) (*struct{ Body Rejected }, error) {
			if err := auth.Authorize(p, auth.SourceRead, auth.All); err != nil {
				return nil, err
			}
			r, err := a.cfg.Sources.Rejected(ctx, in.ID)
			if err != nil {
				return nil, unknownRejected(in.ID, err)
			}
			return &struct{ Body Rejected }{rejectedOf(r)}, nil
		})
	register(a, operation{id: "retry-rejected", method: http.MethodPost, path: "/v1/rejected/{id}/retry", summary: "Send it in again", tag: tag, status: http.StatusNoContent}, auth.SourceWrite,
		func(ctx context.Context, p auth.Principal, in *rejectedPath) (*struct{}, error) {
			if err := auth.Authorize(p, auth.SourceWrite, auth.All); err != nil {
				return nil, err
			}
			return nil, unknownRejected(in.ID, a.cfg.Sources.RetryRejected(ctx, in.ID, p.Name, sourceFor(p)))
		})
	register(a, operation{id: "drop-rejected", method: http.MethodDelete, path: "/v1/rejected/{id}", summary: "Forget it", tag: tag, status: http.StatusNoContent}, auth.SourceWrite,
		func(ctx context.Context, p auth.Principal, in *rejectedPath) (*struct{}, error) {
			if err := auth.Authorize(p, auth.SourceWrite, auth.All); err != nil {
				return nil, err
			}
			return nil, unknownRejected(in.ID, a.cfg.Sources.DropRejected(ctx, in.ID, p.Name))
		})
	register(a, operation{id: "import-documents", method: http.MethodPost, path: "/v1/imports", summary: "Take documents of a file, each for itself", tag: "findings"}, auth.FindingImport,
		func(ctx context.Context, p auth.Principal, in *importInput) (*struct{ Body ImportResult }, error) {
			result, err := a.cfg.Sources.Import(ctx, sourceFor(p), in.Body.Documents)
			if err != nil {
				return nil, err
			}
			return &struct{ Body ImportResult }{result}, nil
		})
}

// sourceFor is p as a source: what its key may report.
func sourceFor(p auth.Principal) ingest.Source {
	return ingest.Source{Name: p.KeyName, Principal: p.Name, Accounts: auth.Scope(p), Products: p.Products, Trusted: p.Trusted}
}

// unknownRejected words a row that is not there.
func unknownRejected(id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return notFound("rejected message", id, "list them: parry source rejected")
	}
	return err
}
