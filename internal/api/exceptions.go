package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/exception"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

// Exceptions are accepted risks. The scope of the principal has been checked.
type Exceptions interface {
	ExceptionReader
	Request(ctx context.Context, n triage.NewException, by string) (triage.HeldException, error)
	Approve(ctx context.Context, id, by, note string) (triage.HeldException, error)
	Reject(ctx context.Context, id, by, note string) (triage.HeldException, error)
	Expire(ctx context.Context, id, by, note string) (triage.HeldException, error)
}

// ExceptionReader reads exceptions and says what one would cover.
type ExceptionReader interface {
	Exception(ctx context.Context, id string) (triage.HeldException, error)
	Exceptions(ctx context.Context, state string, limit int, cursor string) ([]triage.HeldException, string, error)
	Preview(ctx context.Context, scope filter.Filter, accounts []string) (triage.ExceptionPreview, error)
}

// Exception is an accepted risk. Its texts are what people wrote.
type Exception struct {
	ID          string          `json:"id"`
	State       exception.State `json:"state" enum:"pending,active,ended,rejected,withdrawn,expired"`
	Title       string          `json:"title"`
	Owner       string          `json:"owner" doc:"The person or team that answers for the risk."`
	Reason      string          `json:"reason"`
	Link        string          `json:"link,omitempty" doc:"A ticket, or where more is written."`
	Scope       json.RawMessage `json:"scope" doc:"Which findings, in the form of AwsSecurityFindingFilters."`
	Accounts    []string        `json:"accounts" nullable:"false" doc:"The accounts that the scope can reach; * is all."`
	ExpiresAt   time.Time       `json:"expires_at"`
	RequestedBy string          `json:"requested_by"`
	CreatedAt   time.Time       `json:"created_at"`
	DecidedBy   string          `json:"decided_by,omitempty" doc:"Who approved or rejected it."`
	DecidedAt   time.Time       `json:"decided_at,omitzero" doc:"An approved one is in force from then on."`
	Decision    string          `json:"decision,omitempty" doc:"What was said with it."`
	End         exception.End   `json:"end,omitempty" enum:"expired,withdrawn" doc:"Why one that was in force ended."`
	EndedBy     string          `json:"ended_by,omitempty"`
	EndedAt     time.Time       `json:"ended_at,omitzero"`
	EndNote     string          `json:"end_note,omitempty" doc:"What was said when it was withdrawn."`
	Covered     int64           `json:"covered" doc:"Findings that it suppresses now."`
	Working     bool            `json:"working" doc:"Stored findings are being suppressed or reopened because of it."`
}

func exceptionOf(e triage.HeldException) Exception {
	scope, err := json.Marshal(e.Scope)
	if err != nil { // it was read from JSON
		scope = json.RawMessage("{}")
	}
	return Exception{
		ID: e.ID, State: e.State, Title: e.Title, Owner: e.Owner, Reason: e.Reason, Link: e.Link, Scope: scope, Accounts: e.Accounts(), ExpiresAt: e.ExpiresAt,
		RequestedBy: e.RequestedBy, CreatedAt: e.CreatedAt, DecidedBy: e.DecidedBy, DecidedAt: e.DecidedAt, Decision: e.Decision,
		End: e.End, EndedBy: e.EndedBy, EndedAt: e.EndedAt, EndNote: e.EndNote, Covered: e.Covered, Working: e.Working,
	}
}

// FindingException is what a finding shows of the exception that suppresses it.
type FindingException struct {
	ID        string    `json:"id"`
	Title     string    `json:"title"`
	Owner     string    `json:"owner"`
	ExpiresAt time.Time `json:"expires_at"`
}

// ExceptionRequest is an exception that is asked for.
type ExceptionRequest struct {
	Title     string         `json:"title" maxLength:"200"`
	Owner     string         `json:"owner" maxLength:"200" doc:"The person or team that answers for the risk."`
	Reason    string         `json:"reason" maxLength:"2000"`
	Link      string         `json:"link,omitempty" maxLength:"500"`
	Scope     map[string]any `json:"scope" doc:"Which findings, in the form of AwsSecurityFindingFilters; not empty, and without WorkflowStatus."`
	ExpiresAt time.Time      `json:"expires_at"`
}

// ExceptionQuestion asks what an exception would suppress: one that is stored or a
// scope.
type ExceptionQuestion struct {
	ID    string         `json:"id,omitempty" maxLength:"128"`
	Scope map[string]any `json:"scope,omitempty"`
}

// ExceptionWord is what a person says with a decision.
type ExceptionWord struct {
	Reason string `json:"reason,omitempty" maxLength:"2000"`
}

// ExceptionPath names an exception.
type ExceptionPath struct {
	ID string `path:"id" maxLength:"128"`
}

type (
	exceptionsInput struct {
		Paging
		State string `query:"state" enum:"open,pending,active,ended,rejected,withdrawn,expired" doc:"open is pending or active."`
	}
	exceptionOutput       struct{ Body Exception }
	newExceptionInput     struct{ Body ExceptionRequest }
	exceptionPreviewInput struct{ Body ExceptionQuestion }
	exceptionPreview      struct{ Body triage.ExceptionPreview }
	exceptionWordInput    struct {
		ExceptionPath
		Body ExceptionWord
	}
)

func (a *API) registerExceptions() {
	const tag, path = "exceptions", "/v1/exceptions"
	register(a, operation{id: "list-exceptions", method: http.MethodGet, path: path, summary: "List exceptions, the latest first", tag: tag}, auth.ExceptionRead, a.listExceptions)
	register(a, operation{id: "request-exception", method: http.MethodPost, path: path, summary: "Ask for an exception; a second person approves it", tag: tag, status: http.StatusCreated}, auth.ExceptionRequest, a.requestException)
	register(a, operation{id: "preview-exception", method: http.MethodPost, path: path + "/preview", summary: "What an exception would suppress now; nothing is written", tag: tag}, auth.ExceptionRead, a.previewException)
	register(a, operation{id: "get-exception", method: http.MethodGet, path: path + "/{id}", summary: "Show an exception", tag: tag}, auth.ExceptionRead,
		func(ctx context.Context, p auth.Principal, in *ExceptionPath) (*exceptionOutput, error) {
			e, err := a.exception(ctx, p, in.ID)
			return &exceptionOutput{exceptionOf(e)}, err
		})
	for _, d := range []struct {
		verb, summary string
		action        auth.Action
		say           func(e Exceptions, ctx context.Context, id, by, note string) (triage.HeldException, error)
	}{
		{"approve", "Put an exception in force; not by who asked for it", auth.ExceptionDecide, Exceptions.Approve},
		{"reject", "Refuse an exception", auth.ExceptionDecide, Exceptions.Reject},
		{"expire", "End an exception now, or take back one that is pending; what it suppresses is reopened", auth.ExceptionEnd, Exceptions.Expire},
	} {
		register(a, operation{id: d.verb + "-exception", method: http.MethodPost, path: path + "/{id}/" + d.verb, summary: d.summary, tag: tag}, d.action,
			func(ctx context.Context, p auth.Principal, in *exceptionWordInput) (*exceptionOutput, error) {
				e, err := a.exception(ctx, p, in.ID)
				if err != nil {
					return nil, err
				}
				e, err = d.say(a.cfg.Exceptions, ctx, e.ID, p.Name, in.Body.Reason)
				return &exceptionOutput{exceptionOf(e)}, err
			})
	}
}

// reaches reports whether p has every account that a scope can reach.
func reaches(p auth.Principal, accounts []string) bool {
	return !slices.ContainsFunc(accounts, func(account string) bool { return !p.Covers(account) })
}

// exception gives the exception with id if all that it can reach is within p's
// accounts: its scope and its texts may speak of any of them.
func (a *API) exception(ctx context.Context, p auth.Principal, id string) (triage.HeldException, error) {
	e, err := a.cfg.Exceptions.Exception(ctx, id)
	if fault.Is(err, fault.NotFound) || err == nil && !reaches(p, e.Accounts()) {
		return triage.HeldException{}, notFound("exception", id, "list them: parry exception list --state all")
	}
	return e, err
}

// maxSkipped bounds how many exceptions of other accounts one page looks over; it may
// be short then, and still have a next one.
const maxSkipped = 20 * MaxLimit

func (a *API) listExceptions(ctx context.Context, p auth.Principal, in *exceptionsInput) (*page[Exception], error) {
	items, cursor := []Exception{}, in.Cursor
	for looked := 0; ; {
		n := in.Limit - len(items)
		found, next, err := a.cfg.Exceptions.Exceptions(ctx, in.State, n, cursor)
		if err != nil {
			return nil, err
		}
		for _, e := range found {
			if reaches(p, e.Accounts()) {
				items = append(items, exceptionOf(e))
			}
		}
		if looked += n; next == "" || len(items) >= in.Limit || looked >= maxSkipped {
			return pageOf(items, next), nil
		}
		cursor = next
	}
}

func (a *API) requestException(ctx context.Context, p auth.Principal, in *newExceptionInput) (*exceptionOutput, error) {
	scope, err := scopeOf(in.Body.Scope)
	if err != nil {
		return nil, err
	}
	accounts := exception.AccountsOf(scope)
	for _, account := range accounts {
		if account == auth.All && !p.Covers(auth.All) {
			return nil, fault.Errorf(fault.Denied, "check permission", "the scope names no accounts, so it reaches all of them, and %s is limited to %s", p.Name, strings.Join(auth.Scope(p), ", ")).
				WithHint("name your accounts in the scope by AwsAccountId with EQUALS, or use a key that has all accounts")
		}
		if err := auth.Authorize(p, auth.ExceptionRequest, account); err != nil {
			return nil, err
		}
	}
	e, err := a.cfg.Exceptions.Request(ctx, triage.NewException{
		Title: in.Body.Title, Owner: in.Body.Owner, Reason: in.Body.Reason, Link: in.Body.Link, Scope: scope, ExpiresAt: in.Body.ExpiresAt,
	}, p.Name)
	return &exceptionOutput{exceptionOf(e)}, err
}

func scopeOf(members map[string]any) (filter.Filter, error) {
	raw, err := json.Marshal(members)
	if err != nil {
		return filter.Filter{}, fault.E(fault.Invalid, "read scope", err)
	}
	return filter.Parse(raw)
}

// previewException looks at the findings of the caller's accounts alone.
func (a *API) previewException(ctx context.Context, p auth.Principal, in *exceptionPreviewInput) (*exceptionPreview, error) {
	if err := auth.Permit(p, auth.FindingRead); err != nil {
		return nil, err
	}
	if (in.Body.ID == "") == (in.Body.Scope == nil) {
		return nil, fault.Errorf(fault.Invalid, "preview exception", "name a stored exception by id, or give a scope; not both")
	}
	scope, err := scopeOf(in.Body.Scope)
	if in.Body.ID != "" {
		var e triage.HeldException
		e, err = a.exception(ctx, p, in.Body.ID)
		scope = e.Scope
	}
	if err != nil {
		return nil, err
	}
	out, err := a.cfg.Exceptions.Preview(ctx, scope, auth.Scope(p))
	return &exceptionPreview{out}, err
}

// exceptionShown gives what a finding shows of its exception. Whoever may see a
// finding may see why it is suppressed, and nothing of what else the exception covers.
func (a *API) exceptionShown(ctx context.Context, r store.FindingRecord) (*FindingException, error) {
	if r.Exception == "" {
		return nil, nil
	}
	e, err := a.cfg.Exceptions.Exception(ctx, r.Exception)
	if fault.Is(err, fault.NotFound) {
		return &FindingException{ID: r.Exception}, nil
	}
	return &FindingException{ID: e.ID, Title: e.Title, Owner: e.Owner, ExpiresAt: e.ExpiresAt}, err
}
