package securityhub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/finding/ocsf"
	"github.com/parry-security/parry/internal/triage"
)

// FinderV2 gives findings in OCSF.
type FinderV2 interface {
	// QueryFindingsV2 gives a page; Filters of q are OcsfFindingFilters.
	QueryFindingsV2(ctx context.Context, q Query) (Page, error)
	// CountFindingsV2 gives the groups, the greatest first.
	CountFindingsV2(ctx context.Context, q CountV2) ([]GroupV2, error)
}

// CountV2 is one rule of GetFindingStatisticsV2 with the scope of its caller.
type CountV2 struct {
	Accounts []string
	Filters  json.RawMessage
	// Field is one of the group-by fields.
	Field string
}

// GroupV2 is a value and the number of findings that have it.
type GroupV2 struct {
	FieldValue string `json:"FieldValue"`
	Count      int    `json:"Count"`
}

// The limits of the operations.
const (
	maxRulesV2   = 5
	maxResultsV2 = 400
	maxComment   = 512
	maxScopes    = 10
)

// groupFields are the fields that AWS groups by.
// https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_GroupByRule.html
const groupFields = ` activity_name cloud.account.uid cloud.provider cloud.region compliance.assessments.name compliance.status compliance.control
 finding_info.title finding_info.related_events.traits.category finding_info.types metadata.product.name metadata.product.uid resources.type
 resources.uid severity status vulnerabilities.fix_coverage class_name vulnerabilities.affected_packages.name finding_info.analytic.name
 compliance.standards cloud.account.name vendor_attributes.severity metadata.product.vendor_name `

func (h *Handler) operationsV2() map[string]operation {
	return map[string]operation{
		"POST /findingsv2":                inV2(h.getFindingsV2),
		"POST /findingsv2/statistics":     inV2(h.statisticsV2),
		"PATCH /findingsv2/batchupdatev2": inV2(h.updateFindingsV2),
		"GET /hubv2":                      inV2(h.reads(h.describeV2)),
		"POST /hubv2":                     inV2(h.enableV2),
		"GET /aggregatorv2/list":          inV2(h.reads(h.listAggregatorsV2)),
		"GET /aggregatorv2/get/{arn...}":  inV2(h.reads(h.getAggregatorV2)),
	}
}

// inV2 gives errors the names that they have in V2.
func inV2(answer operation) operation {
	return func(r *http.Request) (any, error) {
		value, err := answer(r)
		if err == nil {
			return value, nil
		}
		e := *errorOf(err)
		if v2, ok := map[string]string{
			"InvalidInputException": "ValidationException", "InternalException": "InternalServerException",
			"LimitExceededException": "ThrottlingException", "ResourceConflictException": "ConflictException",
		}[e.Code]; ok {
			e.Code = v2
		}
		if e.Status >= http.StatusInternalServerError {
			return nil, errors.Join(&e, err) // the cause is for the log
		}
		return nil, &e
	}
}

func (h *Handler) getFindingsV2(r *http.Request) (any, error) {
	p := auth.PrincipalFrom(r.Context())
	if err := auth.Permit(p, auth.FindingRead); err != nil {
		return nil, err
	}
	body, err := readObject(r)
	if err != nil {
		return nil, err
	}
	q := Query{}
	if q.Accounts, err = h.scope(r.Context(), p, body); err != nil {
		return nil, err
	}
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
	page, err := h.cfg.FinderV2.QueryFindingsV2(r.Context(), q)
	if err != nil {
		return nil, err
	}
	return findingsPage{page}, nil
}

// scope gives the accounts that a request is about: the caller's, or those of the
// Scopes, which only a caller for the whole installation may name.
func (h *Handler) scope(ctx context.Context, p auth.Principal, body object) ([]string, error) {
	own := auth.Scope(p)
	raw, err := body.object("Scopes")
	if err != nil || raw == nil {
		return own, err
	}
	var scopes struct {
		AwsOrganizations []struct{ OrganizationId, OrganizationalUnitId string } //nolint:revive // AWS spells it so.
	}
	if err := decodeStrict(raw, &scopes); err != nil {
		return nil, invalid("Scopes", "%s", err)
	}
	if len(scopes.AwsOrganizations) == 0 {
		return own, nil
	}
	if len(scopes.AwsOrganizations) > maxScopes {
		return nil, invalid("Scopes", "data.Scopes.AwsOrganizations should NOT have more than %d items", maxScopes)
	}
	if !slices.Contains(own, auth.All) {
		return nil, &protocol.Error{Status: http.StatusForbidden, Code: "AccessDeniedException", Message: "Only a key for all accounts may use Scopes."}
	}
	out := []string{}
	for _, s := range scopes.AwsOrganizations {
		if s.OrganizationalUnitId == "" {
			return own, nil // the whole organization is what the installation looks after
		}
		if h.cfg.Units == nil {
			return nil, noUnit(s.OrganizationalUnitId)
		}
		accounts, err := h.cfg.Units(ctx, s.OrganizationalUnitId)
		switch {
		case fault.Is(err, fault.NotFound):
			return nil, noUnit(s.OrganizationalUnitId)
		case err != nil:
			return nil, err
		}
		out = append(out, accounts...)
	}
	return out, nil
}

func noUnit(id string) error {
	return &protocol.Error{Status: http.StatusNotFound, Code: "OrganizationalUnitNotFoundException", Message: "There is no organizational unit " + clip(id) + " in the organization that Parry looks after."}
}

func decodeStrict(raw json.RawMessage, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// resultV2 is one group of GetFindingStatisticsV2's answer.
type resultV2 struct {
	GroupByField  string    `json:"GroupByField"`
	GroupByValues []GroupV2 `json:"GroupByValues"`
}

func (h *Handler) statisticsV2(r *http.Request) (any, error) {
	p := auth.PrincipalFrom(r.Context())
	if err := auth.Permit(p, auth.FindingRead); err != nil {
		return nil, err
	}
	body, err := readObject(r)
	if err != nil {
		return nil, err
	}
	accounts, err := h.scope(r.Context(), p, body)
	if err != nil {
		return nil, err
	}
	rules, err := body.list("GroupByRules", 1, maxRulesV2)
	if err != nil {
		return nil, err
	}
	most, err := body.integer("MaxStatisticResults", 1, maxResultsV2, maxResultsV2)
	if err != nil {
		return nil, err
	}
	order, err := body.text("SortOrder", 4)
	if err != nil {
		return nil, err
	}
	if order != "" && order != "asc" && order != "desc" {
		return nil, invalid("SortOrder", "data.SortOrder should be equal to one of the allowed values: asc, desc")
	}
	results := make([]resultV2, len(rules))
	for i, raw := range rules {
		var rule struct {
			Filters      json.RawMessage
			GroupByField string
		}
		if err := decodeStrict(raw, &rule); err != nil {
			return nil, invalid("GroupByRules", "data.GroupByRules[%d]: %s", i, err)
		}
		if rule.GroupByField == "" || !strings.Contains(strings.ReplaceAll(groupFields, "\n", ""), " "+rule.GroupByField+" ") {
			return nil, invalid("GroupByRules", "data.GroupByRules[%d].GroupByField should be equal to one of the allowed values:%s", i, strings.TrimRight(strings.ReplaceAll(groupFields, "\n", ""), " "))
		}
		groups, err := h.cfg.FinderV2.CountFindingsV2(r.Context(), CountV2{Accounts: accounts, Filters: rule.Filters, Field: rule.GroupByField})
		if err != nil {
			return nil, err
		}
		if order == "asc" {
			slices.Reverse(groups)
		}
		results[i] = resultV2{rule.GroupByField, append([]GroupV2{}, groups[:min(len(groups), most)]...)}
	}
	return map[string]any{"GroupByResults": results}, nil
}

// identifierV2 names a finding by its provider's words.
type identifierV2 struct {
	CloudAccountUid    string `json:"CloudAccountUid"`    //nolint:revive // AWS spells it so.
	FindingInfoUid     string `json:"FindingInfoUid"`     //nolint:revive // AWS spells it so.
	MetadataProductUid string `json:"MetadataProductUid"` //nolint:revive // AWS spells it so.
}

// updatedV2 is one finding of BatchUpdateFindingsV2's answer.
type updatedV2 struct {
	FindingIdentifier *identifierV2 `json:"FindingIdentifier,omitempty"`
	MetadataUid       string        `json:"MetadataUid,omitempty"` //nolint:revive // AWS spells it so.
	ErrorCode         string        `json:"ErrorCode,omitempty"`
	ErrorMessage      string        `json:"ErrorMessage,omitempty"`
}

func (u updatedV2) failed(code, message string) updatedV2 {
	u.ErrorCode, u.ErrorMessage = code, message
	return u
}

const notThere = "There is no finding with this identifier."

func (h *Handler) updateFindingsV2(r *http.Request) (any, error) {
	p := auth.PrincipalFrom(r.Context())
	if err := auth.Permit(p, auth.FindingUpdate); err != nil {
		return nil, err
	}
	body, err := readObject(r)
	if err != nil {
		return nil, err
	}
	patch, err := patchV2(body, p.Name)
	if err != nil {
		return nil, err
	}
	asked, err := identifiersV2(body)
	if err != nil {
		return nil, err
	}
	processed, unprocessed := []updatedV2{}, []updatedV2{}
	named := map[finding.ID]updatedV2{}
	var ids []finding.ID
	for _, u := range asked {
		id, found, err := h.resolveV2(r.Context(), u, auth.Scope(p))
		if err != nil {
			return nil, err
		}
		if _, twice := named[id]; found && twice {
			unprocessed = append(unprocessed, u.failed("ValidationException", "The finding is in the request more than once."))
			continue
		}
		if !found {
			unprocessed = append(unprocessed, u.failed("ResourceNotFoundException", notThere))
			continue
		}
		named[id] = u
		ids = append(ids, id)
	}
	if len(ids) > 0 {
		result, err := h.cfg.Updater.Update(r.Context(), triage.UpdateRequest{Identifiers: ids, Patch: patch}, p.Name, auth.Scope(p))
		if err != nil {
			return nil, err
		}
		for _, id := range result.Processed {
			processed = append(processed, named[id])
		}
		for _, f := range result.Unprocessed {
			unprocessed = append(unprocessed, named[f.FindingIdentifier].failed(codeV2(f)))
		}
	}
	return map[string]any{"ProcessedFindings": processed, "UnprocessedFindings": unprocessed}, nil
}

func codeV2(f triage.Unprocessed) (code, message string) {
	switch f.ErrorCode {
	case triage.CodeNotFound:
		return "ResourceNotFoundException", notThere
	case triage.CodeConcurrentUpdate:
		return "ConflictException", f.ErrorMessage
	case triage.CodeInternal:
		return "InternalServerException", f.ErrorMessage
	}
	return "ValidationException", f.ErrorMessage
}

// patchV2 reads what is to be changed, as ASFF says it; by is the caller.
func patchV2(body object, by string) (finding.Patch, error) {
	for name := range body.members {
		switch name {
		case "MetadataUids", "FindingIdentifiers", "Comment", "SeverityId", "StatusId":
		default:
			return finding.Patch{}, invalid(clip(name), "data should NOT have additional property '%s'", clip(name))
		}
	}
	var p finding.Patch
	if _, ok := body.given("Comment"); ok {
		comment, err := body.text("Comment", 4*maxComment)
		if err != nil {
			return p, err
		}
		if n := utf8.RuneCountInString(comment); n > maxComment || strings.TrimSpace(comment) == "" {
			return p, invalid("Comment", "data.Comment should be 1 to %d characters that are not all blank", maxComment)
		}
		p.Note = &finding.NoteUpdate{Text: comment, UpdatedBy: by}
	}
	choice := finding.OCSFUpdate{}
	if _, ok := body.given("SeverityId"); ok {
		id, err := body.integer("SeverityId", 0, 99, 0)
		if err != nil {
			return p, err
		}
		if ocsf.Severity(id) == "" {
			return p, invalid("SeverityId", "data.SeverityId should be equal to one of the allowed values: 0, 1, 2, 3, 4, 5, 6, 99")
		}
		p.Severity, choice.SeverityID = &finding.SeverityUpdate{Label: ocsf.Label(id)}, &id
	}
	if _, ok := body.given("StatusId"); ok {
		id, err := body.integer("StatusId", 0, 99, 0)
		if err != nil {
			return p, err
		}
		if id == 6 || ocsf.Status(id) == "" { // deleting is not the customer's
			return p, invalid("StatusId", "data.StatusId should be equal to one of the allowed values: 0, 1, 2, 3, 4, 5, 99")
		}
		p.Workflow, choice.StatusID = &finding.WorkflowUpdate{Status: ocsf.Workflow(id)}, &id
	}
	if p.IsZero() {
		return p, invalid("body", "one of Comment, SeverityId and StatusId is needed")
	}
	if choice.SeverityID != nil || choice.StatusID != nil {
		p.OCSF = &choice
	}
	return p, nil
}

func identifiersV2(body object) ([]updatedV2, error) {
	_, uids := body.given("MetadataUids")
	_, identifiers := body.given("FindingIdentifiers")
	if uids == identifiers {
		return nil, invalid("MetadataUids", "one of MetadataUids and FindingIdentifiers is needed, and not both")
	}
	var out []updatedV2
	if uids {
		list, err := body.list("MetadataUids", 1, triage.MaxIdentifiers)
		if err != nil {
			return nil, err
		}
		for i, raw := range list {
			var u updatedV2
			if err := json.Unmarshal(raw, &u.MetadataUid); err != nil || strings.TrimSpace(u.MetadataUid) == "" {
				return nil, invalid("MetadataUids", "data.MetadataUids[%d] should be string that is not blank", i)
			}
			out = append(out, u)
		}
		return out, nil
	}
	list, err := body.list("FindingIdentifiers", 1, triage.MaxIdentifiers)
	if err != nil {
		return nil, err
	}
	for i, raw := range list {
		var id identifierV2
		if err := decodeStrict(raw, &id); err != nil {
			return nil, invalid("FindingIdentifiers", "data.FindingIdentifiers[%d]: %s", i, err)
		}
		if strings.TrimSpace(id.CloudAccountUid) == "" || strings.TrimSpace(id.FindingInfoUid) == "" || strings.TrimSpace(id.MetadataProductUid) == "" {
			return nil, invalid("FindingIdentifiers", "data.FindingIdentifiers[%d] should have CloudAccountUid, FindingInfoUid and MetadataProductUid", i)
		}
		out = append(out, updatedV2{FindingIdentifier: &id})
	}
	return out, nil
}

// resolveV2 finds the finding that u names among those of accounts.
func (h *Handler) resolveV2(ctx context.Context, u updatedV2, accounts []string) (finding.ID, bool, error) {
	if u.FindingIdentifier == nil {
		id, ok := finding.ParseKey(u.MetadataUid)
		return id, ok, nil
	}
	test := func(field, value string) map[string]any {
		return map[string]any{"FieldName": field, "Filter": map[string]string{"Value": value, "Comparison": "EQUALS"}}
	}
	filters, err := json.Marshal(map[string]any{"CompositeFilters": []any{map[string]any{"StringFilters": []any{
		test("cloud.account.uid", u.FindingIdentifier.CloudAccountUid), test("finding_info.uid", u.FindingIdentifier.FindingInfoUid),
		test("metadata.product.uid", u.FindingIdentifier.MetadataProductUid),
	}}}})
	if err != nil {
		return finding.ID{}, false, err
	}
	page, err := h.cfg.FinderV2.QueryFindingsV2(ctx, Query{Accounts: accounts, Filters: filters, Limit: 1})
	if err != nil || len(page.Findings) == 0 {
		return finding.ID{}, false, err
	}
	var view struct {
		Metadata struct {
			UID string `json:"uid"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(page.Findings[0], &view); err != nil {
		return finding.ID{}, false, err
	}
	id, ok := finding.ParseKey(view.Metadata.UID)
	return id, ok, nil
}
