package api

import (
	"context"
	"net/http"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/insight"
)

// Action is a custom action: rules of the bus match its ARN.
type Action struct {
	ID          string    `json:"id" doc:"Names the action in paths: the last part of its ARN."`
	ARN         string    `json:"arn"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Region      string    `json:"region"`
	CreatedBy   string    `json:"created_by"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

func actionOf(a insight.Action) Action {
	return Action{a.ID(), a.ARN, a.Name, a.Description, a.Region(), a.CreatedBy, a.CreatedAt, a.UpdatedAt}
}

// NewAction is an action that is to be made.
type NewAction struct {
	ID          string `json:"id" maxLength:"128" doc:"At most 20 letters and digits."`
	Name        string `json:"name" maxLength:"128" doc:"At most 20 characters."`
	Description string `json:"description" maxLength:"2048"`
	Region      string `json:"region,omitempty" maxLength:"32" pattern:"^[a-z]{2}[a-z0-9-]*$" doc:"Of the ARN; default the home Region."`
}

// ActionChange says what is to become of an action; what is absent stays as it is.
type ActionChange struct {
	Name        *string `json:"name,omitempty" maxLength:"128"`
	Description *string `json:"description,omitempty" maxLength:"2048"`
}

// Invocation says what is sent to an action: findings, each as an event of its own, or
// the results of an insight, as one.
type Invocation struct {
	Findings []string `json:"findings,omitempty" maxItems:"20" nullable:"false" doc:"Keys of findings."`
	Insight  string   `json:"insight,omitempty" maxLength:"256" doc:"Key of an insight."`
	Values   []string `json:"values,omitempty" maxItems:"100" nullable:"false" doc:"Those of its results that are sent; default all."`
}

// Invoked says which events were sent.
type Invoked struct {
	Action string   `json:"action" doc:"The ARN."`
	Events []string `json:"events" nullable:"false" doc:"Their ids on the bus."`
}

// ActionPath names an action. It is exported because huma skips embedded fields that are
// not.
type ActionPath struct {
	ID     string `path:"id" maxLength:"256" doc:"The action's id."`
	Region string `query:"region" maxLength:"32" doc:"Its Region, where several have the id."`
}

type (
	actionsInput      struct{ Paging }
	actionOutput      struct{ Body Action }
	createActionInput struct{ Body NewAction }
	updateActionInput struct {
		ActionPath
		Body ActionChange
	}
	invokeInput struct {
		ActionPath
		Body Invocation
	}
	invokeOutput struct{ Body Invoked }
)

func (a *API) registerActions() {
	const tag, path = "actions", "/v1/actions"
	register(a, operation{id: "list-actions", method: http.MethodGet, path: path, summary: "List custom actions, the oldest first", tag: tag}, auth.FindingRead,
		func(ctx context.Context, _ auth.Principal, in *actionsInput) (*page[Action], error) {
			found, next, err := a.cfg.Insights.ListActions(ctx, "", in.Limit, in.Cursor)
			if err != nil {
				return nil, err
			}
			items := make([]Action, len(found))
			for i, one := range found {
				items[i] = actionOf(one)
			}
			return pageOf(items, next), nil
		})
	register(a, operation{id: "create-action", method: http.MethodPost, path: path, summary: "Make a custom action", tag: tag, status: http.StatusCreated}, auth.ActionWrite,
		forAll(auth.ActionWrite, func(ctx context.Context, p auth.Principal, in *createActionInput) (*actionOutput, error) {
			made, err := a.cfg.Insights.CreateAction(ctx, insight.NewAction{ID: in.Body.ID, Name: in.Body.Name, Description: in.Body.Description}, in.Body.Region, p.Name)
			if err != nil {
				return nil, err
			}
			return &actionOutput{actionOf(made)}, nil
		}))
	register(a, operation{id: "update-action", method: http.MethodPatch, path: path + "/{id}", summary: "Change name and description of a custom action", tag: tag}, auth.ActionWrite,
		forAll(auth.ActionWrite, func(ctx context.Context, p auth.Principal, in *updateActionInput) (*actionOutput, error) {
			one, err := a.cfg.Insights.ActionNamed(ctx, in.ID, in.Region)
			if err != nil {
				return nil, err
			}
			if one, err = a.cfg.Insights.UpdateAction(ctx, one.ARN, in.Body.Name, in.Body.Description, p.Name); err != nil {
				return nil, err
			}
			return &actionOutput{actionOf(one)}, nil
		}))
	register(a, operation{id: "delete-action", method: http.MethodDelete, path: path + "/{id}", summary: "Delete a custom action", tag: tag, status: http.StatusNoContent}, auth.ActionWrite,
		forAll(auth.ActionWrite, func(ctx context.Context, p auth.Principal, in *ActionPath) (*struct{}, error) {
			one, err := a.cfg.Insights.ActionNamed(ctx, in.ID, in.Region)
			if err != nil {
				return nil, err
			}
			return nil, a.cfg.Insights.DeleteAction(ctx, one.ARN, p.Name)
		}))
	register(a, operation{id: "invoke-action", method: http.MethodPost, path: path + "/{id}/invoke", summary: "Send findings, or results of an insight, to a custom action", tag: tag, status: http.StatusAccepted}, auth.FindingAct, a.invoke)
}

// invoke sends what is within the caller's accounts: a finding outside is as one that is
// not there, and results are counted within them.
func (a *API) invoke(ctx context.Context, p auth.Principal, in *invokeInput) (*invokeOutput, error) {
	const op = "invoke action"
	if (len(in.Body.Findings) == 0) == (in.Body.Insight == "") || in.Body.Insight == "" && len(in.Body.Values) > 0 {
		return nil, fault.Errorf(fault.Invalid, op, "name findings, or an insight and perhaps values of it; not both")
	}
	action, err := a.cfg.Insights.ActionNamed(ctx, in.ID, in.Region)
	if err != nil {
		return nil, err
	}
	out := Invoked{Action: action.ARN}
	if in.Body.Insight != "" {
		i, err := a.cfg.Insights.InsightNamed(ctx, in.Body.Insight)
		if err != nil {
			return nil, err
		}
		id, err := a.cfg.Insights.InvokeResults(ctx, action, i, in.Body.Values, auth.Scope(p), p.Name)
		out.Events = []string{id}
		return &invokeOutput{out}, err
	}
	ids := make([]finding.ID, len(in.Body.Findings))
	for i, key := range in.Body.Findings {
		var ok bool
		if ids[i], ok = finding.ParseKey(key); !ok {
			return nil, unknownFinding(key)
		}
	}
	out.Events, err = a.cfg.Insights.Invoke(ctx, action, ids, auth.Scope(p), p.Name)
	return &invokeOutput{out}, err
}
