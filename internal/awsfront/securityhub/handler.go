package securityhub

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/awsfront/sigv4"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	ingesthttp "github.com/parry-security/parry/internal/ingest/http"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/triage"
)

// MaxEnvelope is what a body may hold beyond the findings themselves.
const MaxEnvelope = 64 << 10

// Importer takes the findings of one batch.
type Importer interface {
	Import(ctx context.Context, source ingesthttp.Source, batch []json.RawMessage) (ingesthttp.Result, error)
}

// Updater applies a customer's update to findings of the given accounts.
type Updater interface {
	Update(ctx context.Context, req triage.UpdateRequest, by string, accounts []string) (triage.UpdateResult, error)
}

// Finder gives a page of findings.
type Finder interface {
	QueryFindings(ctx context.Context, q Query) (Page, error)
}

// Query is GetFindings' request with the scope of its caller.
type Query struct {
	// Accounts are those whose findings may be given, never nil; "*" is all. It
	// holds whatever Filters say.
	Accounts []string
	// Filters is AwsSecurityFindingFilters as it was sent, or nil. An error in
	// it has code invalid and names the place.
	Filters json.RawMessage
	Sort    []SortCriterion
	// Limit is 1 to 100.
	Limit int
	// Token is a Next of an earlier page, or "". One that does not belong to
	// these filters and this scope is refused with code invalid.
	Token string
}

// SortCriterion orders by a field of ASFF.
type SortCriterion struct {
	Field     string `json:"Field"`
	SortOrder string `json:"SortOrder"` // asc or desc
}

// Page is a page of documents, each of them valid JSON: they are written as they are.
// Next is "" on the last.
type Page struct {
	Findings []json.RawMessage
	Next     string
	// Release, when it is there, takes the memory of the documents back. It is called
	// once the answer is written; to leave it uncalled is safe.
	Release func()
}

// Config is what New needs.
type Config struct {
	Importer Importer // required
	Updater  Updater  // required
	Finder   Finder   // required
	// History tells of changes. Default: GetFindingHistory is not served.
	History Historian
	// Accounts gives the members, also those that have left. Default: none.
	Accounts func() []org.Account
	// Region is where findings are aggregated. Default: us-east-1.
	Region string
	// Rules are the automation rules. Default: their operations are not served.
	Rules Rules
	// Insights are insights and custom actions. Default: their operations are not served.
	Insights Insights
	// FinderV2 gives findings in OCSF. Default: the operations of V2 are not served.
	FinderV2 FinderV2
	// Units gives the accounts of an organizational unit and those below it; an
	// unknown unit has code not_found. Default: there are none.
	Units func(ctx context.Context, unit string) ([]string, error)
	// Controls tells which standards there are findings of. Default: the reads of
	// standards and controls are not served.
	Controls ControlCounter
	// Account is the one that Parry runs for: the security account. Required.
	Account string
	// Partition of the ARNs. Default: aws.
	Partition string
	// Since is when the hub was set up, for DescribeHub.
	Since  time.Time
	Logger *slog.Logger // default: discard
}

// Handler answers Security Hub's API.
type Handler struct {
	cfg Config
	log *slog.Logger
	mux *http.ServeMux
}

// New makes a Handler.
func New(cfg Config) (*Handler, error) {
	if cfg.Importer == nil || cfg.Updater == nil || cfg.Finder == nil || cfg.Account == "" {
		return nil, fault.Errorf(fault.Internal, "make Security Hub", "importer, updater, finder and account are required")
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	if cfg.Partition == "" {
		cfg.Partition = "aws"
	}
	if cfg.Accounts == nil {
		cfg.Accounts = func() []org.Account { return nil }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Handler{cfg: cfg, log: cfg.Logger.With("component", "awsfront.securityhub"), mux: http.NewServeMux()}
	operations := map[string]operation{
		"POST /findings/import":       h.importFindings,
		"POST /findings":              h.getFindings,
		"PATCH /findings/batchupdate": h.updateFindings,
		"POST /accounts":              h.enable,
		"GET /accounts":               h.describe,
	}
	maps.Copy(operations, h.organizationOperations())
	maps.Copy(operations, h.productOperations())
	if cfg.History != nil {
		operations["POST /findingHistory/get"] = h.historyOf
	}
	if cfg.Rules != nil {
		maps.Copy(operations, h.ruleOperations())
		maps.Copy(operations, h.ruleOperationsV2())
	}
	if cfg.Insights != nil {
		maps.Copy(operations, h.insightOperations())
	}
	if cfg.FinderV2 != nil {
		maps.Copy(operations, h.operationsV2())
	}
	if cfg.Controls != nil {
		maps.Copy(operations, h.controlOperations())
	}
	for pattern, answer := range operations {
		h.mux.HandleFunc(pattern, h.serve(answer))
	}
	h.mux.Handle("/", h.others(slices.Collect(maps.Keys(operations))))
	return h, nil
}

// readingPosts are the paths of POSTs that change nothing.
var readingPosts = []string{ //nolint:gochecknoglobals // a constant
	"/findings", "/automationrules/get", "/findingHistory/get", "/members/get", "/findingsv2", "/findingsv2/statistics",
	"/standards/get", "/securityControls/batchGet", "/associations/batchGet", "/configurationPolicyAssociation/list", "/insights/get", "/actionTargets/get",
}

// Reads reports whether r changes nothing.
func (h *Handler) Reads(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodPost && slices.Contains(readingPosts, r.URL.Path)
}

// MaxBody is AWS's 6 MB and what is around the findings.
func (h *Handler) MaxBody() int64 { return ingesthttp.MaxBody + MaxEnvelope }

// Refuse words a request that was not let through.
func (h *Handler) Refuse(w http.ResponseWriter, _ *http.Request, f *sigv4.Failure) {
	protocol.WriteJSONError(w, protocol.JSONFailure(f))
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// operation answers one request with a value to be written as JSON.
type operation func(r *http.Request) (any, error)

func (h *Handler) serve(answer operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		value, err := answer(r)
		if err != nil {
			e := errorOf(err)
			if e.Status >= http.StatusInternalServerError && e.Status != http.StatusNotImplemented {
				h.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
			}
			protocol.WriteJSONError(w, e)
			return
		}
		protocol.WriteJSON(w, http.StatusOK, value)
		if page, ok := value.(findingsPage); ok && page.Release != nil {
			page.Release()
		}
	}
}

// errorOf words err as Security Hub does. What is internal stays in the log.
func errorOf(err error) *protocol.Error {
	return protocol.ErrorOf(err, map[fault.Code]protocol.Kind{
		fault.Invalid:   {Code: "InvalidInputException", Status: http.StatusBadRequest},
		fault.Denied:    {Code: "AccessDeniedException", Status: http.StatusForbidden},
		fault.NotFound:  {Code: "ResourceNotFoundException", Status: http.StatusNotFound},
		fault.Conflict:  {Code: "ResourceConflictException", Status: http.StatusConflict},
		fault.Exhausted: {Code: "LimitExceededException", Status: http.StatusTooManyRequests},
		fault.Internal:  {Code: "InternalException"},
	})
}

func (h *Handler) importFindings(r *http.Request) (any, error) {
	p := auth.PrincipalFrom(r.Context())
	if err := auth.Permit(p, auth.FindingImport); err != nil {
		return nil, err
	}
	body, err := readObject(r)
	if err != nil {
		return nil, err
	}
	batch, err := body.list("Findings", 1, ingesthttp.MaxFindings)
	if err != nil {
		return nil, err
	}
	for i, raw := range batch {
		if raw[0] != '{' {
			return nil, invalid("Findings", "data.Findings[%d] should be object", i)
		}
	}
	source := ingesthttp.Source{Name: p.KeyName, Principal: p.Name, Accounts: auth.Scope(p), Products: p.Products, Trusted: p.Trusted}
	return h.cfg.Importer.Import(r.Context(), source, batch)
}

func (h *Handler) getFindings(r *http.Request) (any, error) {
	p := auth.PrincipalFrom(r.Context())
	if err := auth.Permit(p, auth.FindingRead); err != nil {
		return nil, err
	}
	body, err := readObject(r)
	if err != nil {
		return nil, err
	}
	q := Query{Accounts: auth.Scope(p)}
	if q.Filters, err = body.object("Filters"); err != nil {
		return nil, err
	}
	if q.Sort, err = body.sort(); err != nil {
		return nil, err
	}
	if q.Limit, err = body.integer("MaxResults", 1, 100, 100); err != nil {
		return nil, err
	}
	if q.Token, err = body.text("NextToken", 32<<10); err != nil {
		return nil, err
	}
	page, err := h.cfg.Finder.QueryFindings(r.Context(), q)
	if err != nil {
		return nil, err
	}
	return findingsPage{page}, nil
}

func (h *Handler) updateFindings(r *http.Request) (any, error) {
	p := auth.PrincipalFrom(r.Context())
	if err := auth.Permit(p, auth.FindingUpdate); err != nil {
		return nil, err
	}
	body, err := readObject(r)
	if err != nil {
		return nil, err
	}
	if _, err := body.list("FindingIdentifiers", 1, triage.MaxIdentifiers); err != nil {
		return nil, err
	}
	req, err := triage.ParseUpdate(body.raw)
	if err != nil {
		return nil, err
	}
	result, err := h.cfg.Updater.Update(r.Context(), req, p.Name, auth.Scope(p))
	if result.Processed == nil {
		result.Processed = []finding.ID{}
	}
	if result.Unprocessed == nil {
		result.Unprocessed = []triage.Unprocessed{}
	}
	return result, err
}

// enable does nothing: the hub of an installation is on from the start.
func (h *Handler) enable(r *http.Request) (any, error) {
	if err := auth.Authorize(auth.PrincipalFrom(r.Context()), auth.HubEnable, auth.All); err != nil {
		return nil, err
	}
	if _, err := readObject(r); err != nil {
		return nil, err
	}
	return struct{}{}, nil
}

// hub is DescribeHub's answer.
type hub struct {
	HubArn                  string `json:"HubArn"`
	SubscribedAt            string `json:"SubscribedAt"`
	AutoEnableControls      bool   `json:"AutoEnableControls"`
	ControlFindingGenerator string `json:"ControlFindingGenerator"`
}

func (h *Handler) describe(r *http.Request) (any, error) {
	if err := auth.Permit(auth.PrincipalFrom(r.Context()), auth.HubRead); err != nil {
		return nil, err
	}
	arn := "arn:" + h.cfg.Partition + ":securityhub:" + protocol.RegionFrom(r.Context()) + ":" + h.cfg.Account + ":hub/default"
	if asked := r.URL.Query().Get("HubArn"); asked != "" && asked != arn {
		return nil, &protocol.Error{Status: http.StatusNotFound, Code: "ResourceNotFoundException", Message: "There is no such hub. The hub is " + arn + "."}
	}
	return hub{HubArn: arn, SubscribedAt: h.cfg.Since.UTC().Format("2006-01-02T15:04:05.000Z"), ControlFindingGenerator: "SECURITY_CONTROL"}, nil
}
