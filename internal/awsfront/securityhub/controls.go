package securityhub

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/control"
)

type definitionItem struct {
	SecurityControlID         string   `json:"SecurityControlId"`
	Title                     string   `json:"Title"`
	Description               string   `json:"Description"`
	RemediationURL            string   `json:"RemediationUrl"`
	SeverityRating            string   `json:"SeverityRating"`
	CurrentRegionAvailability string   `json:"CurrentRegionAvailability"`
	CustomizableProperties    []string `json:"CustomizableProperties"`
	// ParameterDefinitions is left out where there are none, or the catalogue does
	// not know them.
	ParameterDefinitions map[string]parameterDefinition `json:"ParameterDefinitions,omitempty"`
}

// definitionOf has the title for a description, and a parameter's name in words:
// AWS's own are prose of its user guide.
func definitionOf(d control.Definition) definitionItem {
	item := definitionItem{
		SecurityControlID: d.ID, Title: d.Title, Description: d.Title, RemediationURL: d.RemediationURL(), SeverityRating: d.Severity,
		CurrentRegionAvailability: "AVAILABLE", CustomizableProperties: []string{},
	}
	if d.Customizable {
		item.CustomizableProperties = append(item.CustomizableProperties, "Parameters")
		item.ParameterDefinitions = parameterDefinitions(d.Parameters)
	}
	return item
}

type definitionsPage struct {
	SecurityControlDefinitions []definitionItem `json:"SecurityControlDefinitions"`
	NextToken                  string           `json:"NextToken,omitempty"`
}

func (h *Handler) listDefinitions(r *http.Request) (any, error) {
	if err := auth.Permit(auth.PrincipalFrom(r.Context()), auth.HubRead); err != nil {
		return nil, err
	}
	standard := ""
	if arn := r.URL.Query().Get("StandardsArn"); arn != "" {
		s, ok := control.StandardByARN(arn)
		if !ok || !strings.HasPrefix(arn, "arn:") {
			return nil, invalid("StandardsArn", "It is not the ARN of a standard. DescribeStandards lists them")
		}
		standard = s.Key
	}
	list := "definitions of " + standard
	limit, after, err := paging(r, list)
	if err != nil {
		return nil, err
	}
	items, next := pageAfter(members(standard), func(d control.Definition) string { return d.ID }, list, after, limit)
	page := definitionsPage{SecurityControlDefinitions: []definitionItem{}, NextToken: next}
	for _, d := range items {
		page.SecurityControlDefinitions = append(page.SecurityControlDefinitions, definitionOf(d))
	}
	return page, nil
}

func (h *Handler) getDefinition(r *http.Request) (any, error) {
	if err := auth.Permit(auth.PrincipalFrom(r.Context()), auth.HubRead); err != nil {
		return nil, err
	}
	id := r.URL.Query().Get("SecurityControlId")
	if id == "" {
		return nil, invalid("SecurityControlId", "data should have required property 'SecurityControlId'")
	}
	d, ok := lookup(id)
	if !ok {
		return nil, &protocol.Error{Status: http.StatusNotFound, Code: "ResourceNotFoundException", Message: "There is no such security control. ListSecurityControlDefinitions lists them."}
	}
	return struct {
		SecurityControlDefinition definitionItem `json:"SecurityControlDefinition"`
	}{definitionOf(d)}, nil
}

// lookup finds a control by its id or its ARN in any account and region.
func lookup(id string) (control.Definition, bool) {
	if strings.HasPrefix(id, "arn:") {
		_, tail, ok := strings.Cut(id, ":security-control/")
		if !ok {
			return control.Definition{}, false
		}
		id = tail
	}
	return control.Lookup(id)
}

type controlItem struct {
	SecurityControlID     string `json:"SecurityControlId"`
	SecurityControlArn    string `json:"SecurityControlArn"`
	Title                 string `json:"Title"`
	Description           string `json:"Description"`
	RemediationURL        string `json:"RemediationUrl"`
	SeverityRating        string `json:"SeverityRating"`
	SecurityControlStatus string `json:"SecurityControlStatus"`
	UpdateStatus          string `json:"UpdateStatus"`
	// Parameters are at their defaults: nothing is set through Parry.
	Parameters map[string]parameterValue `json:"Parameters"`
}

type unprocessedControl struct {
	SecurityControlID string `json:"SecurityControlId"`
	ErrorCode         string `json:"ErrorCode"`
	ErrorReason       string `json:"ErrorReason"`
}

type controlsBatch struct {
	SecurityControls []controlItem        `json:"SecurityControls"`
	UnprocessedIDs   []unprocessedControl `json:"UnprocessedIds"`
}

// maxBatch is how many controls or associations one request may name.
const maxBatch = 100

func (h *Handler) batchGetControls(r *http.Request) (any, error) {
	if err := auth.Permit(auth.PrincipalFrom(r.Context()), auth.HubRead); err != nil {
		return nil, err
	}
	body, err := readObject(r)
	if err != nil {
		return nil, err
	}
	const name = "SecurityControlIds"
	items, err := body.list(name, 1, maxBatch)
	if err != nil {
		return nil, err
	}
	on, err := h.enabled(r)
	if err != nil {
		return nil, err
	}
	at := h.site(r)
	out := controlsBatch{[]controlItem{}, []unprocessedControl{}}
	for i, raw := range items {
		var id string
		if err := json.Unmarshal(raw, &id); err != nil || id == "" {
			return nil, invalid(name, "data.%s[%d] should be a string that is not empty", name, i)
		}
		d, ok := lookup(id)
		if !ok {
			out.UnprocessedIDs = append(out.UnprocessedIDs, unprocessedControl{id, "NOT_FOUND", "There is no such security control."})
			continue
		}
		status := "DISABLED"
		for _, m := range d.Standards {
			if on[m.Standard] {
				status = "ENABLED"
			}
		}
		out.SecurityControls = append(out.SecurityControls, controlItem{
			SecurityControlID: d.ID, SecurityControlArn: at.control(d.ID), Title: d.Title, Description: d.Title, RemediationURL: d.RemediationURL(),
			SeverityRating: d.Severity, SecurityControlStatus: status, UpdateStatus: "READY", Parameters: parameterDefaults(d.Parameters),
		})
	}
	return out, nil
}

type associationItem struct {
	StandardsArn                string   `json:"StandardsArn"`
	SecurityControlID           string   `json:"SecurityControlId"`
	SecurityControlArn          string   `json:"SecurityControlArn"`
	AssociationStatus           string   `json:"AssociationStatus"`
	RelatedRequirements         []string `json:"RelatedRequirements"`
	UpdatedAt                   string   `json:"UpdatedAt"`
	StandardsControlTitle       string   `json:"StandardsControlTitle"`
	StandardsControlDescription string   `json:"StandardsControlDescription"`
	// StandardsControlArns is in details only.
	StandardsControlArns []string `json:"StandardsControlArns,omitempty"`
}

func (h *Handler) association(at site, d control.Definition, s control.Standard) associationItem {
	return associationItem{
		StandardsArn: at.standard(s), SecurityControlID: d.ID, SecurityControlArn: at.control(d.ID), AssociationStatus: "ENABLED",
		RelatedRequirements: texts(d.RelatedIn(s.Key)), UpdatedAt: h.since(), StandardsControlTitle: d.Title, StandardsControlDescription: d.Title,
	}
}

type associationsPage struct {
	Summaries []associationItem `json:"StandardsControlAssociationSummaries"`
	NextToken string            `json:"NextToken,omitempty"`
}

// listAssociations names enabled standards only, as AWS does.
func (h *Handler) listAssociations(r *http.Request) (any, error) {
	if err := auth.Permit(auth.PrincipalFrom(r.Context()), auth.HubRead); err != nil {
		return nil, err
	}
	d, ok := lookup(r.URL.Query().Get("SecurityControlId"))
	if !ok {
		return nil, invalid("SecurityControlId", "There is no such security control. ListSecurityControlDefinitions lists them")
	}
	list := "associations of " + d.ID
	limit, after, err := paging(r, list)
	if err != nil {
		return nil, err
	}
	on, err := h.enabled(r)
	if err != nil {
		return nil, err
	}
	var standards []control.Standard
	for _, m := range d.Standards {
		if s, ok := control.StandardByKey(m.Standard); ok && on[s.Key] {
			standards = append(standards, s)
		}
	}
	at := h.site(r)
	standards, next := pageAfter(standards, func(s control.Standard) string { return s.Key }, list, after, limit)
	page := associationsPage{Summaries: []associationItem{}, NextToken: next}
	for _, s := range standards {
		page.Summaries = append(page.Summaries, h.association(at, d, s))
	}
	return page, nil
}

// associationID names a control in a standard.
type associationID struct {
	SecurityControlID string `json:"SecurityControlId"`
	StandardsArn      string `json:"StandardsArn"`
}

type unprocessedAssociation struct {
	ID          associationID `json:"StandardsControlAssociationId"`
	ErrorCode   string        `json:"ErrorCode"`
	ErrorReason string        `json:"ErrorReason"`
}

type associationsBatch struct {
	Details     []associationItem        `json:"StandardsControlAssociationDetails"`
	Unprocessed []unprocessedAssociation `json:"UnprocessedAssociations"`
}

func (h *Handler) batchGetAssociations(r *http.Request) (any, error) {
	if err := auth.Permit(auth.PrincipalFrom(r.Context()), auth.HubRead); err != nil {
		return nil, err
	}
	body, err := readObject(r)
	if err != nil {
		return nil, err
	}
	const name = "StandardsControlAssociationIds"
	items, err := body.list(name, 1, maxBatch)
	if err != nil {
		return nil, err
	}
	on, err := h.enabled(r)
	if err != nil {
		return nil, err
	}
	at := h.site(r)
	out := associationsBatch{[]associationItem{}, []unprocessedAssociation{}}
	for i, raw := range items {
		var id associationID
		if err := json.Unmarshal(raw, &id); err != nil || id.SecurityControlID == "" || id.StandardsArn == "" {
			return nil, invalid(name, "data.%s[%d] should be an object with SecurityControlId and StandardsArn", name, i)
		}
		d, known := lookup(id.SecurityControlID)
		s, standard := control.StandardByARN(id.StandardsArn)
		_, in := d.In(s.Key)
		switch {
		case !known || !standard || !in:
			out.Unprocessed = append(out.Unprocessed, unprocessedAssociation{id, "NOT_FOUND", "The standard has no such control."})
		case !on[s.Key]:
			out.Unprocessed = append(out.Unprocessed, unprocessedAssociation{id, "RESOURCE_NOT_FOUND", "There are no findings of the standard within your accounts, so it is not enabled."})
		default:
			detail := h.association(at, d, s)
			detail.StandardsControlArns = []string{s.ControlARN(at.partition, at.region, at.account, s.Rule(d.ID))}
			out.Details = append(out.Details, detail)
		}
	}
	return out, nil
}
