package securityhub

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/insight"
)

// Insights keeps insights and custom actions.
type Insights interface {
	Insight(ctx context.Context, text string) (insight.Insight, error)
	ListInsights(ctx context.Context, region string, limit int, cursor string) ([]insight.Insight, string, error)
	CreateInsight(ctx context.Context, c insight.Change, region, by string) (insight.Insight, error)
	UpdateInsight(ctx context.Context, arn string, c insight.Change, by string) (insight.Insight, error)
	DeleteInsight(ctx context.Context, arn, by string) error
	Results(ctx context.Context, i insight.Insight, accounts []string) ([]insight.Result, error)

	Action(ctx context.Context, arn string) (insight.Action, error)
	ListActions(ctx context.Context, region string, limit int, cursor string) ([]insight.Action, string, error)
	CreateAction(ctx context.Context, n insight.NewAction, region, by string) (insight.Action, error)
	UpdateAction(ctx context.Context, arn string, name, description *string, by string) (insight.Action, error)
	DeleteAction(ctx context.Context, arn, by string) error
}

// insightOperations are those of insights and action targets. See
// https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_CreateInsight.html and
// https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_CreateActionTarget.html.
func (h *Handler) insightOperations() map[string]operation {
	return map[string]operation{
		"POST /insights":                 permitted(auth.InsightWrite, h.createInsight),
		"POST /insights/get":             asked(h.getInsights),
		"GET /insights/results/{arn...}": asked(h.insightResults),
		"PATCH /insights/{arn...}":       permitted(auth.InsightWrite, h.updateInsight),
		"DELETE /insights/{arn...}":      permitted(auth.InsightWrite, h.deleteInsight),
		"POST /actionTargets":            permitted(auth.ActionWrite, h.createAction),
		"POST /actionTargets/get":        asked(h.describeActions),
		"PATCH /actionTargets/{arn...}":  permitted(auth.ActionWrite, h.updateAction),
		"DELETE /actionTargets/{arn...}": permitted(auth.ActionWrite, h.deleteAction),
	}
}

// asked checks that the caller may ask about findings: what it is told of them is within
// its accounts.
func asked(answer ruleOperation) operation {
	return func(r *http.Request) (any, error) {
		p := auth.PrincipalFrom(r.Context())
		if err := auth.Permit(p, auth.FindingRead); err != nil {
			return nil, err
		}
		body, err := readObject(r)
		if err != nil {
			return nil, err
		}
		return answer(r, body, p)
	}
}

// maxARN bounds an ARN in a request.
const maxARN = 512

// optional gives a text, nil when it is not given.
func (o object) optional(name string) (*string, error) {
	if _, ok := o.given(name); !ok {
		return nil, nil
	}
	s, err := o.text(name, 4096)
	return &s, err
}

// required refuses a body without names.
func (o object) required(names ...string) error {
	for _, name := range names {
		if _, ok := o.given(name); !ok {
			return invalid(name, "data should have required property '%s'", name)
		}
	}
	return nil
}

// insightChange reads what an insight is to say.
func (o object) insightChange() (c insight.Change, err error) {
	if err := o.only("Name", "Filters", "GroupByAttribute"); err != nil {
		return c, err
	}
	if c.Name, err = o.optional("Name"); err != nil {
		return c, err
	}
	if c.GroupBy, err = o.optional("GroupByAttribute"); err != nil {
		return c, err
	}
	c.Filters, err = o.object("Filters")
	return c, err
}

func (h *Handler) createInsight(r *http.Request, body object, p auth.Principal) (any, error) {
	if err := body.required("Name", "Filters", "GroupByAttribute"); err != nil {
		return nil, err
	}
	c, err := body.insightChange()
	if err != nil {
		return nil, err
	}
	made, err := h.cfg.Insights.CreateInsight(r.Context(), c, protocol.RegionFrom(r.Context()), p.Name)
	if err != nil {
		return nil, err
	}
	return map[string]string{"InsightArn": made.ARN}, nil
}

// insightForm is Insight.
type insightForm struct {
	InsightArn       string `json:"InsightArn"`
	Name             string `json:"Name"`
	Filters          any    `json:"Filters"`
	GroupByAttribute string `json:"GroupByAttribute"`
}

func formOf(i insight.Insight) insightForm { return insightForm{i.ARN, i.Name, i.Filters, i.GroupBy} }

// awsInsight gives an insight that AWS knows too, by its ARN.
func (h *Handler) awsInsight(r *http.Request, arn string) (insight.Insight, error) {
	i, err := h.cfg.Insights.Insight(r.Context(), arn)
	if err == nil && (i.ARN != arn || i.Own()) {
		err = noSuch("insight", arn)
	}
	return i, err
}

func noSuch(what, arn string) error {
	return &protocol.Error{Status: http.StatusNotFound, Code: "ResourceNotFoundException", Message: "There is no " + what + " with the ARN " + clip(arn) + "."}
}

// listing is how the lists of insights and action targets are asked for.
type listing struct {
	arns   []string
	limit  int
	cursor string
}

func (o object) listing(arns string) (l listing, err error) {
	if err = o.only(arns, "NextToken", "MaxResults"); err != nil {
		return l, err
	}
	if l.limit, err = o.integer("MaxResults", 1, 100, 100); err != nil {
		return l, err
	}
	if l.cursor, err = o.text("NextToken", 32<<10); err != nil {
		return l, err
	}
	if _, ok := o.given(arns); !ok {
		return l, nil
	}
	items, err := o.list(arns, 0, 100)
	if err != nil {
		return l, err
	}
	for i, raw := range items {
		var arn string
		if json.Unmarshal(raw, &arn) != nil || arn == "" || len(arn) > maxARN {
			return l, invalid(arns, "data.%s[%d] should be a string that is not blank", arns, i)
		}
		l.arns = append(l.arns, arn)
	}
	return l, nil
}

type insightPage struct {
	Insights  []insightForm `json:"Insights"`
	NextToken string        `json:"NextToken,omitempty"`
}

func (h *Handler) getInsights(r *http.Request, body object, _ auth.Principal) (any, error) {
	l, err := body.listing("InsightArns")
	if err != nil {
		return nil, err
	}
	out := insightPage{Insights: []insightForm{}}
	for _, arn := range l.arns {
		i, err := h.awsInsight(r, arn)
		if err != nil {
			return nil, err
		}
		out.Insights = append(out.Insights, formOf(i))
	}
	if len(l.arns) > 0 {
		return out, nil
	}
	found, next, err := h.cfg.Insights.ListInsights(r.Context(), protocol.RegionFrom(r.Context()), l.limit, l.cursor)
	if err != nil {
		return nil, err
	}
	for _, i := range found {
		out.Insights = append(out.Insights, formOf(i))
	}
	out.NextToken = next
	return out, nil
}

type resultValue struct {
	GroupByAttributeValue string `json:"GroupByAttributeValue"`
	Count                 int64  `json:"Count"`
}

type insightResults struct {
	InsightArn       string        `json:"InsightArn"`
	GroupByAttribute string        `json:"GroupByAttribute"`
	ResultValues     []resultValue `json:"ResultValues"`
}

func (h *Handler) insightResults(r *http.Request, _ object, p auth.Principal) (any, error) {
	i, err := h.awsInsight(r, r.PathValue("arn"))
	if err != nil {
		return nil, err
	}
	found, err := h.cfg.Insights.Results(r.Context(), i, auth.Scope(p))
	if err != nil {
		return nil, err
	}
	out := insightResults{i.ARN, i.GroupBy, []resultValue{}}
	for _, g := range found {
		out.ResultValues = append(out.ResultValues, resultValue{g.Value, g.N})
	}
	return map[string]any{"InsightResults": out}, nil
}

func (h *Handler) updateInsight(r *http.Request, body object, p auth.Principal) (any, error) {
	c, err := body.insightChange()
	if err != nil {
		return nil, err
	}
	if _, err := h.awsInsight(r, r.PathValue("arn")); err != nil {
		return nil, err
	}
	_, err = h.cfg.Insights.UpdateInsight(r.Context(), r.PathValue("arn"), c, p.Name)
	return struct{}{}, err
}

func (h *Handler) deleteInsight(r *http.Request, _ object, p auth.Principal) (any, error) {
	arn := r.PathValue("arn")
	if _, err := h.awsInsight(r, arn); err != nil {
		return nil, err
	}
	return map[string]string{"InsightArn": arn}, h.cfg.Insights.DeleteInsight(r.Context(), arn, p.Name)
}

func (h *Handler) createAction(r *http.Request, body object, p auth.Principal) (any, error) {
	if err := body.only("Id", "Name", "Description"); err != nil {
		return nil, err
	}
	if err := body.required("Id", "Name", "Description"); err != nil {
		return nil, err
	}
	var n insight.NewAction
	var err error
	for name, to := range map[string]*string{"Id": &n.ID, "Name": &n.Name, "Description": &n.Description} {
		if *to, err = body.text(name, 4096); err != nil {
			return nil, err
		}
	}
	made, err := h.cfg.Insights.CreateAction(r.Context(), n, protocol.RegionFrom(r.Context()), p.Name)
	if err != nil {
		return nil, err
	}
	return map[string]string{"ActionTargetArn": made.ARN}, nil
}

// actionForm is ActionTarget.
type actionForm struct {
	ActionTargetArn string `json:"ActionTargetArn"`
	Name            string `json:"Name"`
	Description     string `json:"Description"`
}

type actionPage struct {
	ActionTargets []actionForm `json:"ActionTargets"`
	NextToken     string       `json:"NextToken,omitempty"`
}

func (h *Handler) describeActions(r *http.Request, body object, _ auth.Principal) (any, error) {
	l, err := body.listing("ActionTargetArns")
	if err != nil {
		return nil, err
	}
	var found []insight.Action
	out := actionPage{ActionTargets: []actionForm{}}
	for _, arn := range l.arns {
		a, err := h.cfg.Insights.Action(r.Context(), arn)
		if err != nil {
			return nil, err
		}
		found = append(found, a)
	}
	if len(l.arns) == 0 {
		if found, out.NextToken, err = h.cfg.Insights.ListActions(r.Context(), protocol.RegionFrom(r.Context()), l.limit, l.cursor); err != nil {
			return nil, err
		}
	}
	for _, a := range found {
		out.ActionTargets = append(out.ActionTargets, actionForm{a.ARN, a.Name, a.Description})
	}
	return out, nil
}

func (h *Handler) updateAction(r *http.Request, body object, p auth.Principal) (any, error) {
	if err := body.only("Name", "Description"); err != nil {
		return nil, err
	}
	name, err := body.optional("Name")
	if err != nil {
		return nil, err
	}
	description, err := body.optional("Description")
	if err != nil {
		return nil, err
	}
	_, err = h.cfg.Insights.UpdateAction(r.Context(), r.PathValue("arn"), name, description, p.Name)
	return struct{}{}, err
}

func (h *Handler) deleteAction(r *http.Request, _ object, p auth.Principal) (any, error) {
	arn := r.PathValue("arn")
	return map[string]string{"ActionTargetArn": arn}, h.cfg.Insights.DeleteAction(r.Context(), arn, p.Name)
}
