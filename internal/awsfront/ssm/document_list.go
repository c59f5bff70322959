package ssm

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

type legacyFilter struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

type keyValues struct {
	Key    string
	Values []string
}

type listDocumentsInput struct {
	DocumentFilterList []legacyFilter
	Filters            []keyValues
	MaxResults         *int
	NextToken          string
}

type documentIdentifier struct {
	Name            string    `json:"Name"`
	CreatedDate     timestamp `json:"CreatedDate,omitzero"`
	DisplayName     string    `json:"DisplayName,omitempty"`
	Owner           string    `json:"Owner"`
	VersionName     string    `json:"VersionName,omitempty"`
	PlatformTypes   []string  `json:"PlatformTypes"`
	DocumentVersion string    `json:"DocumentVersion"`
	DocumentType    string    `json:"DocumentType"`
	SchemaVersion   string    `json:"SchemaVersion"`
	DocumentFormat  string    `json:"DocumentFormat"`
	TargetType      string    `json:"TargetType,omitempty"`
	Tags            []tag     `json:"Tags,omitempty"`
	Author          string    `json:"Author,omitempty"`
}

type listDocumentsOutput struct {
	DocumentIdentifiers []documentIdentifier `json:"DocumentIdentifiers"`
	NextToken           string               `json:"NextToken,omitempty"`
}

// documentFilter says whether a document is asked for.
type documentFilter func(h *Handler, d found) bool

func (h *Handler) listDocuments(ctx context.Context, c Caller, in *listDocumentsInput) (any, error) {
	filters, err := documentFilters(in)
	if err != nil {
		return nil, err
	}
	query := []any{in.DocumentFilterList, in.Filters}
	after, err := cursor(c, "ListDocuments", query, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := listDocumentsOutput{DocumentIdentifiers: []documentIdentifier{}}
	limit := pageSize(in.MaxResults)
	last, more := after, false
	err = h.eachDocument(ctx, after, func(d found) bool {
		for _, fits := range filters {
			if !fits(h, d) {
				return true
			}
		}
		if len(out.DocumentIdentifiers) == limit {
			more = true
			return false
		}
		out.DocumentIdentifiers = append(out.DocumentIdentifiers, h.identifier(d))
		last = d.Name
		return true
	})
	if more {
		out.NextToken = token(c, "ListDocuments", query, last)
	}
	return out, err
}

func (h *Handler) identifier(d found) documentIdentifier {
	return documentIdentifier{
		Name: d.Name, CreatedDate: timestamp(d.CreatedAt), DisplayName: d.DisplayName, Owner: h.owner(d), VersionName: d.VersionName,
		PlatformTypes: platforms(), DocumentVersion: strconv.Itoa(d.Version), DocumentType: documentType, SchemaVersion: d.SchemaVersion,
		DocumentFormat: d.Format, TargetType: d.TargetType, Tags: tagsOf(d.Tags), Author: d.CreatedBy,
	}
}

// eachDocument visits the documents behind a name, everybody's and the
// catalog's, by name, while visit says so. MaxDocuments bounds it.
func (h *Handler) eachDocument(ctx context.Context, after string, visit func(found) bool) error {
	var shipped []found
	for _, name := range h.cfg.Catalog.Runbooks() {
		if d, ok := h.catalogDocument(name); ok && name > after {
			shipped = append(shipped, d)
		}
	}
	slices.SortFunc(shipped, func(a, b found) int { return cmp.Compare(a.Name, b.Name) })
	const page = 200
	for {
		stored, err := h.cfg.Documents.ListDocuments(ctx, after, page)
		if err != nil {
			return err
		}
		for _, d := range stored {
			for len(shipped) > 0 && shipped[0].Name < d.Name {
				if !visit(shipped[0]) {
					return nil
				}
				shipped = shipped[1:]
			}
			if !visit(found{Stored: d}) {
				return nil
			}
			after = d.Name
		}
		if len(stored) < page {
			break
		}
	}
	for _, d := range shipped {
		if !visit(d) {
			return nil
		}
	}
	return nil
}

func documentFilters(in *listDocumentsInput) ([]documentFilter, error) {
	if len(in.DocumentFilterList) > 0 && len(in.Filters) > 0 {
		return nil, protocol.Validation([]string{"Value at 'filters' failed to satisfy constraint: Member must not be given together with documentFilterList"})
	}
	all := slices.Clone(in.Filters)
	for _, f := range in.DocumentFilterList {
		all = append(all, keyValues{f.Key, []string{f.Value}})
	}
	var out []documentFilter
	for _, f := range all {
		if len(f.Values) == 0 || len(f.Values) > 50 {
			return nil, refuse("InvalidFilterKey", "The filter %s needs 1 to 50 values.", protocol.Clip(f.Key))
		}
		fits, ok := documentMatcher(f.Key)
		if !ok {
			return nil, refuse("InvalidFilterKey", "The filter key %s isn't valid. Valid keys: Name, Owner, DocumentType, PlatformTypes, SearchKeyword, TargetType and tag:KEY.", protocol.Clip(f.Key))
		}
		out = append(out, func(h *Handler, d found) bool {
			return slices.ContainsFunc(f.Values, func(v string) bool { return fits(h, d, v) })
		})
	}
	return out, nil
}

// documentMatcher gives what a filter key compares.
func documentMatcher(key string) (func(h *Handler, d found, v string) bool, bool) {
	if name, ok := strings.CutPrefix(key, "tag:"); ok && name != "" {
		return func(_ *Handler, d found, v string) bool { have, ok := d.Tags[name]; return ok && have == v }, true
	}
	switch key {
	case "Name":
		return func(_ *Handler, d found, v string) bool { return strings.HasPrefix(d.Name, v) }, true
	case "Owner":
		return (*Handler).ownedBy, true
	case "DocumentType":
		return func(_ *Handler, _ found, v string) bool { return v == documentType }, true
	case "PlatformTypes":
		return func(_ *Handler, _ found, v string) bool { return slices.Contains(platforms(), v) }, true
	case "TargetType":
		return func(_ *Handler, d found, v string) bool { return d.TargetType == v }, true
	case "SearchKeyword":
		return func(_ *Handler, d found, v string) bool {
			v = strings.ToLower(v)
			return strings.Contains(strings.ToLower(d.Name), v) || strings.Contains(strings.ToLower(d.Description), v)
		}, true
	}
	return nil, false
}

// ownedBy compares the owner in AWS's words: what comes with Parry is to its
// users as what comes from Amazon.
func (h *Handler) ownedBy(d found, owner string) bool {
	switch strings.ToLower(owner) {
	case "all":
		return true
	case "self", "private", h.cfg.Account:
		return !d.catalog
	case "amazon", "public", "parry":
		return d.catalog
	}
	return false
}

type versionsInput struct {
	Name       string
	MaxResults *int
	NextToken  string
}

type versionInfo struct {
	Name             string    `json:"Name"`
	DisplayName      string    `json:"DisplayName,omitempty"`
	DocumentVersion  string    `json:"DocumentVersion"`
	VersionName      string    `json:"VersionName,omitempty"`
	CreatedDate      timestamp `json:"CreatedDate,omitzero"`
	IsDefaultVersion bool      `json:"IsDefaultVersion"`
	DocumentFormat   string    `json:"DocumentFormat"`
	Status           string    `json:"Status"`
}

type versionsOutput struct {
	DocumentVersions []versionInfo `json:"DocumentVersions"`
	NextToken        string        `json:"NextToken,omitempty"`
}

func (h *Handler) listDocumentVersions(ctx context.Context, c Caller, in *versionsInput) (any, error) {
	name := DocumentName(in.Name)
	text, err := cursor(c, "ListDocumentVersions", name, in.NextToken)
	if err != nil {
		return nil, err
	}
	before := 0
	if text != "" {
		if before, err = strconv.Atoi(text); err != nil || before < 1 {
			return nil, badToken()
		}
	}
	limit := pageSize(in.MaxResults)
	var all []runbook.Stored
	if d, ok := h.catalogDocument(name); ok {
		all = []runbook.Stored{d.Stored}
	} else if all, err = h.cfg.Documents.DocumentVersions(ctx, name, before, limit+1); err != nil {
		return nil, as(err, fault.NotFound, "InvalidDocument", "Document with name %s does not exist.", protocol.Clip(name))
	}
	if len(all) == 0 {
		return nil, noDocument(name)
	}
	out := versionsOutput{DocumentVersions: []versionInfo{}}
	if len(all) > limit {
		all = all[:limit]
		out.NextToken = token(c, "ListDocumentVersions", name, strconv.Itoa(all[limit-1].Version))
	}
	for _, d := range all {
		out.DocumentVersions = append(out.DocumentVersions, versionInfo{
			Name: d.Name, DisplayName: d.DisplayName, DocumentVersion: strconv.Itoa(d.Version), VersionName: d.VersionName,
			CreatedDate: timestamp(d.CreatedAt), IsDefaultVersion: d.Version == d.Default, DocumentFormat: d.Format, Status: "Active",
		})
	}
	return out, nil
}
