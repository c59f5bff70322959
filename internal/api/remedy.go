package api

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// Remedy says what would fix a finding, and in one sentence why it is not fixed.
type Remedy struct {
	Playbook    string            `json:"playbook,omitempty" doc:"The playbook that answers the finding's control; absent when none does."`
	Title       string            `json:"title,omitempty" doc:"What the playbook does."`
	Risk        string            `json:"risk,omitempty" doc:"low, medium or high."`
	Impact      string            `json:"impact,omitempty" doc:"What users of the resource may notice."`
	Reversible  bool              `json:"reversible" doc:"Whether the playbook says that every change of its can be taken back."`
	Remediation string            `json:"remediation,omitempty" doc:"The latest remediation; only for callers who may read them."`
	State       remediation.State `json:"state,omitempty" enum:"planned,awaiting_approval,queued,running,verifying,verified,unverified,failed,cancelled,rejected,expired,superseded,undoing,undone,regressed" doc:"That of the latest remediation."`
	Kind        remediation.Kind  `json:"kind,omitempty" doc:"fix or undo."`
	Why         string            `json:"why" doc:"One sentence: why it is not remediated, or that it is. It may hold untrusted text."`
	Next        string            `json:"next,omitempty" doc:"What to do about it."`
	latest      remediation.Remediation
}

// remedy answers for r, which the caller may see.
func (a *API) remedy(ctx context.Context, p auth.Principal, r store.FindingRecord, excepted *FindingException) (Remedy, error) {
	var out Remedy
	if pb, ok := a.cfg.Work.PlaybookFor(r.Control); ok {
		out.Playbook, out.Title, out.Risk, out.Impact, out.Reversible = pb.ID, pb.Title, pb.Risk, pb.Impact, pb.Reversible
	}
	stopped, stopReason := false, ""
	if p.May(auth.RemediationRead) {
		list, _, err := a.cfg.Remediations.ListRemediations(ctx, store.RemediationFilter{Accounts: auth.Scope(p), Finding: r.ID}, 1, "")
		if err != nil {
			return Remedy{}, err
		}
		if len(list) > 0 {
			out.latest = list[0]
			out.Remediation, out.State, out.Kind = string(list[0].ID), list[0].State, list[0].Kind
		}
	}
	if p.May(auth.SwitchRead) {
		var err error
		if stopped, stopReason, err = a.cfg.Switch.StopSwitch(ctx); err != nil {
			return Remedy{}, err
		}
	}
	out.Why, out.Next = out.explain(r, excepted)
	if stopped && !out.settled(r) {
		out.Why = "All changes are stopped: " + strings.TrimSuffix(stopReason, ".") + ". " + out.Why
		out.Next = "Let changes go on with the stop switch when the reason has passed."
	}
	return out, nil
}

// settled reports that nothing is left to be done, switch or not.
func (m Remedy) settled(r store.FindingRecord) bool {
	return r.RecordState == "ARCHIVED" || r.Workflow == "SUPPRESSED" || r.Workflow == "RESOLVED" || r.Compliance == "PASSED"
}

func (m Remedy) explain(r store.FindingRecord, excepted *FindingException) (why, next string) {
	switch {
	case r.RecordState == "ARCHIVED":
		return "Its provider archived the finding: there is nothing left to remediate.", ""
	case excepted != nil:
		return fmt.Sprintf("The exception %q suppresses it until %s; %s answers for the risk.", excepted.Title, excepted.ExpiresAt.UTC().Format(time.DateOnly), excepted.Owner),
			"End the exception to have the finding remediated."
	case r.Exception != "":
		return "An exception suppresses it.", "End the exception to have the finding remediated."
	case r.Workflow == "SUPPRESSED":
		return "A person or an automation rule suppressed it, so nothing acts on it.", "Its history says who. Set the workflow status to NEW to have it remediated."
	case m.Remediation != "":
		return m.explainLatest(r)
	case r.Workflow == "RESOLVED":
		return "It is resolved, not by Parry.", ""
	case r.Compliance == "PASSED":
		return "Its check passes: there is nothing to remediate.", ""
	case m.Playbook == "" && r.Control == "":
		return "It names no control, and fixes (playbooks) are found by the control.", "Fix it by hand, then set its workflow status to RESOLVED."
	case m.Playbook == "":
		return fmt.Sprintf("Parry has no fix for control %s: no playbook is written for it.", r.Control), "Fix it by hand, or write a playbook: docs/writing-a-runbook.md. What has one: parry playbook list."
	case !r.Trusted:
		return fmt.Sprintf("Its source %s may not start remediation, so a person must.", cmp.Or(r.Source, "is unknown and")), "Remediate it."
	}
	return fmt.Sprintf("No rule of the bus sent it to its playbook %s, and nobody asked.", m.Playbook), "Remediate it."
}

func (m Remedy) explainLatest(r store.FindingRecord) (why, next string) {
	l := m.latest
	what, reason := "The remediation", ""
	if l.Kind == remediation.KindUndo {
		what = "The undo"
	}
	if l.Reason != "" {
		reason = ": " + strings.TrimSuffix(l.Reason, ".")
	}
	switch l.State {
	case remediation.AwaitingApproval:
		return what + " waits for approval" + reason + ".", "Ask an approver to look at the plan."
	case remediation.Planned, remediation.Queued, remediation.Running, remediation.Verifying, remediation.Undoing:
		return fmt.Sprintf("%s is under way (%s).", what, l.State), ""
	case remediation.Verified:
		switch {
		case l.Kind == remediation.KindUndo:
			return "What had fixed it was taken back and verified.", "Remediate it again when the time has come."
		case r.Workflow == "RESOLVED":
			return "It was remediated, and AWS was read again to verify that.", ""
		}
		return "It was remediated and verified, and has been reported again since.", "Remediate it again."
	case remediation.Undone:
		return "It was remediated, and that was undone.", "Remediate it again when the time has come."
	}
	return fmt.Sprintf("%s ended as %s%s.", what, strings.ReplaceAll(string(l.State), "_", " "), reason), cmp.Or(l.Hint, "Look at the remediation, then ask again.")
}
