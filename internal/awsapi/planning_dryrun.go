package awsapi

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// dryRunMember asks EC2 for a verdict instead of a change.
const dryRunMember = "DryRun"

// honoursDryRun is a closed table: EC2 alone promises, for every operation that
// has the member, to check permissions and change nothing. A service that only
// takes the member would make the change.
func honoursDryRun(r request) bool {
	m, ok := r.op.Input.Member(dryRunMember)
	return ok && r.Service == "ec2" && m.Shape.Type == apimodel.Boolean
}

// prove asks AWS whether the plan's role may make the change, where AWS can say
// so without making it. Nobody but planning sends a change this way: a runbook's
// own DryRun makes its call no less a change.
func (p *Planner) prove(ctx context.Context, pc *remediation.PlannedCall, r request) error {
	if _, own := r.Input[dryRunMember]; own || p.s.g.cfg.ReadOnly || len(pc.FromOutputs) > 0 || !honoursDryRun(r) {
		return nil
	}
	if len(p.s.g.cfg.ReadPolicies) > 0 {
		// The session that plans may less than the one that applies.
		pc.Permission, pc.PermissionDetail = remediation.PermissionNotChecked, "planning sessions are narrowed by organization.read_policies"
		return nil
	}
	dry := r.from(r.by)
	dry.class = apimodel.Read
	dry.Input = maps.Clone(r.Input)
	dry.Input[dryRunMember] = true
	_, err := p.s.g.send(ctx, r.id, dry)
	var api *apimodel.APIError
	switch {
	case err == nil:
		p.s.g.log.Error("a dry run was answered as if the change was made", "operation", r.Service+":"+r.Operation, "account", r.Account, "region", r.Region)
		return fault.Terminal(fault.Errorf(fault.Internal, "plan step "+pc.Step, "%s:%s answered a dry run as if it had made the change", r.Service, r.Operation).
			WithHint("look at %s in account %s: the change may have been made", pc.Resource, r.Account))
	case !errors.As(err, &api):
		pc.Permission, pc.PermissionDetail = remediation.PermissionNotChecked, clip(printable(err.Error()))
	case api.Code == "DryRunOperation":
		pc.Permission = remediation.PermissionProven
	case api.Code == "UnauthorizedOperation", api.HTTPStatus == http.StatusForbidden && !api.Throttled:
		// The rest of EC2's sentence is a message that only its owner can decode.
		why, _, _ := strings.Cut(api.Message, "Encoded authorization failure message")
		pc.Permission, pc.PermissionDetail = remediation.PermissionDenied, clip(printable(api.Code+": "+strings.TrimSpace(why)))
	default:
		pc.Permission, pc.PermissionDetail = remediation.PermissionNotChecked, clip(printable(api.Code+": "+api.Message))
	}
	return nil
}
