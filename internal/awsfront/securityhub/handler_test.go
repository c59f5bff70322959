package securityhub_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/awsfront/securityhub"
	"github.com/parry-security/parry/internal/control"
	"github.com/parry-security/parry/internal/finding"
	ingesthttp "github.com/parry-security/parry/internal/ingest/http"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

// stages do nothing and say so.
type stages struct{}

func (stages) Import(context.Context, ingesthttp.Source, []json.RawMessage) (ingesthttp.Result, error) {
	return ingesthttp.Result{}, nil
}

func (stages) Update(context.Context, triage.UpdateRequest, string, []string) (triage.UpdateResult, error) {
	return triage.UpdateResult{}, nil
}

func (stages) QueryFindings(context.Context, securityhub.Query) (securityhub.Page, error) {
	return securityhub.Page{}, nil
}

func (stages) QueryFindingsV2(context.Context, securityhub.Query) (securityhub.Page, error) {
	return securityhub.Page{}, nil
}

func (stages) CountFindingsV2(context.Context, securityhub.CountV2) ([]securityhub.GroupV2, error) {
	return nil, nil
}

func (stages) Findings(context.Context, []finding.ID) ([]store.FindingRecord, error) {
	return []store.FindingRecord{{Account: "111122223333"}}, nil
}

func (stages) FindingHistoryWithin(context.Context, store.HistoryQuery) ([]store.HistoryEntry, string, error) {
	return nil, "", nil
}

func (stages) ControlCounts(context.Context, store.ControlQuery, func(control.Count) error) error {
	return nil
}

func handler(t testing.TB) *securityhub.Handler {
	t.Helper()
	h, err := securityhub.New(securityhub.Config{Importer: stages{}, Updater: stages{}, Finder: stages{}, FinderV2: stages{}, History: stages{}, Controls: stages{}, Account: "999988887777"})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func serve(ctx context.Context, h http.Handler, method, target, body string, p auth.Principal) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(protocol.WithRegion(auth.WithPrincipal(ctx, p), "eu-west-1"), http.MethodPost, "http://parry/", strings.NewReader(body))
	r.Method = method // any text: httptest would panic
	path, query, _ := strings.Cut(target, "?")
	r.URL.Path, r.URL.RawPath, r.URL.RawQuery = path, "", query
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Every operation of AWS's model is answered by Parry or refused by its name, and who
// may do nothing is told nothing.
func TestEveryOperationIsAnsweredOrRefusedByName(t *testing.T) {
	t.Parallel()
	catalog, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	service, err := catalog.Service("securityhub")
	if err != nil {
		t.Fatal(err)
	}
	h := handler(t)
	admin := auth.Principal{Name: "a", Roles: []auth.Role{auth.RoleAdmin}, Accounts: []string{auth.All}}
	for _, op := range service.Operations {
		path := "/" + strings.TrimPrefix(strings.NewReplacer("{", "", "}", "", "+", "").Replace(op.URI), "/")
		w := serve(t.Context(), h, op.Method, path, "{}", admin)
		if refused := w.Code == http.StatusNotImplemented || w.Code == http.StatusUnauthorized; refused && !strings.Contains(w.Body.String(), op.Name) {
			t.Errorf("%s: %d %s", op.Name, w.Code, w.Body)
		}
		if w := serve(t.Context(), h, op.Method, path, "{}", auth.Principal{}); w.Code < 400 {
			t.Errorf("%s answers nobody: %d %s", op.Name, w.Code, w.Body)
		}
	}
}

// FuzzServe sends any request: it is answered with JSON, and what is wrong with it is
// the caller's fault.
func FuzzServe(f *testing.F) {
	for _, request := range [][3]string{
		{"POST", "/findings", `{"Filters":{},"SortCriteria":[{"Field":"Id","SortOrder":"asc"}],"MaxResults":10,"NextToken":"x"}`},
		{"POST", "/findings/import", `{"Findings":[{},1]}`},
		{"PATCH", "/findings/batchupdate", `{"FindingIdentifiers":[{"Id":"a","ProductArn":"b"}],"Workflow":{"Status":"NEW"}}`},
		{"POST", "/findingHistory/get", `{"FindingIdentifier":{"Id":"a","ProductArn":"b"},"StartTime":"2026-01-01T00:00:00Z"}`},
		{"POST", "/findingsv2", `{"Filters":{"CompositeFilters":[]},"Scopes":{"AwsOrganizations":[{"OrganizationId":"o"}]}}`},
		{"POST", "/findingsv2/statistics", `{"GroupByRules":[{"GroupByField":"severity"}],"SortOrder":"asc"}`},
		{"PATCH", "/findingsv2/batchupdatev2", `{"MetadataUids":["x"],"Comment":"c","StatusId":2}`},
		{"GET", "/products?MaxResults=1&NextToken=AAAA&ProductArn=arn:aws:securityhub:eu-west-1::product/aws/config", ""},
		{"POST", "/productSubscriptions", `{"ProductArn":"arn:aws:securityhub:eu-west-1::product/aws/config"}`},
		{"GET", "/members?MaxResults=5&NextToken=%00", ""},
		{"POST", "/members/get", `{"AccountIds":["111122223333"]}`},
		{"POST", "/standards/get", `{"StandardsSubscriptionArns":["x"],"NextToken":"x"}`},
		{"GET", "/standards/controls/arn:aws:securityhub:eu-west-1:1:subscription/pci-dss/v/3.2.1", ""},
		{"POST", "/securityControls/batchGet", `{"SecurityControlIds":["S3.1",""]}`},
		{"POST", "/associations/batchGet", `{"StandardsControlAssociationIds":[{"SecurityControlId":"S3.1","StandardsArn":"x"}]}`},
		{"GET", "/aggregatorv2/get/x", ""},
	} {
		f.Add(request[0], request[1], request[2])
	}
	h := handler(f)
	p := auth.Principal{Name: "a", Roles: []auth.Role{auth.RoleAdmin}, Accounts: []string{"111122223333"}, Products: []string{"aws/config"}}
	f.Fuzz(func(t *testing.T, method, target, body string) {
		w := serve(t.Context(), h, method, target, body, p)
		switch {
		case w.Code == http.StatusTemporaryRedirect || w.Code == http.StatusPermanentRedirect || w.Code == http.StatusMovedPermanently:
			return // of the mux: a path that is not clean
		case !json.Valid(w.Body.Bytes()):
			t.Errorf("%d, no JSON: %q", w.Code, w.Body)
		case w.Code >= 500 && w.Code != http.StatusNotImplemented:
			t.Errorf("%d %s", w.Code, w.Body)
		case w.Code >= 400 && w.Header().Get("X-Amzn-Errortype") == "":
			t.Errorf("%d without a type: %s", w.Code, w.Body)
		}
	})
}
