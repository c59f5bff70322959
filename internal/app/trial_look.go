package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/control"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/sweep"
)

func knownControl(id string) bool {
	_, ok := control.Lookup(id)
	return ok
}

// wanted reports whether findings of a control are asked for.
func (t *trial) wanted(id string) bool {
	return len(t.cfg.Controls) == 0 || slices.ContainsFunc(t.cfg.Controls, func(c string) bool { return control.Same(c, id) })
}

// identity is as whom an account is entered: the credentials, or the role. A source
// identity would ask of the role's trust policy what few allow; the server sets one.
func (t *trial) identity(account string) awsapi.Identity {
	id := awsapi.Identity{SessionName: "parry-try"}
	if account != "" && account != t.own {
		id.Role = t.cfg.Role
	}
	return id
}

// reader opens a reading session for an account.
func (t *trial) reader(account string) *awsapi.Session { return t.gate.ReadOnly(t.identity(account)) }

// listAccounts settles which accounts are looked at.
func (t *trial) listAccounts(ctx context.Context) error {
	switch {
	case t.cfg.Organization:
		if err := t.readOrganization(ctx); err != nil {
			t.problem("organizations:ListAccounts", t.own, "", err)
			t.accounts = []org.Account{{ID: t.own}}
		}
	case len(t.cfg.Accounts) > 0:
		for _, id := range t.cfg.Accounts {
			a, _ := t.account(id)
			t.accounts = append(t.accounts, a)
		}
	default:
		a, _ := t.account(t.own)
		t.accounts = []org.Account{a}
	}
	for _, a := range t.accounts {
		t.report.Accounts = append(t.report.Accounts, a.ID)
	}
	return nil
}

// maxTrialAccounts bounds a look at an organization.
const maxTrialAccounts = 10_000

func (t *trial) readOrganization(ctx context.Context) error {
	t.told("listing the accounts of the organization")
	call := apimodel.Call{Service: "organizations", Operation: "ListAccounts", Region: t.home}
	_, err := t.gate.Paginate(ctx, t.reader(""), call, awsapi.PageOptions{Step: "accounts"}, func(page map[string]any) error {
		list, _ := page["Accounts"].([]any)
		for _, item := range list {
			m, _ := item.(map[string]any)
			text := func(name string) string { s, _ := m[name].(string); return s }
			state := text("State")
			if state == "" {
				state = text("Status")
			}
			id := text("Id")
			if id == "" || org.State(state) != org.Active {
				continue
			}
			if len(t.accounts) == maxTrialAccounts {
				return fault.Errorf(fault.Exhausted, "list accounts", "there are more than %d", maxTrialAccounts)
			}
			a := t.known[id]
			a.ID = id
			if a.Name == "" {
				a.Name = text("Name")
			}
			t.known[id] = a
			t.accounts = append(t.accounts, a)
		}
		return nil
	})
	if err == nil && len(t.accounts) == 0 {
		err = fault.Errorf(fault.NotFound, "list accounts", "no active account was listed")
	}
	return err
}

// open tries once whether an account can be entered.
func (t *trial) open(ctx context.Context, account string) bool {
	if account == t.own {
		return true
	}
	err, tried := t.closed[account]
	if tried {
		return err == nil
	}
	if t.cfg.Role == "" {
		err = fault.Errorf(fault.Denied, "", "it is another account than that of the credentials, and no role was named").WithHint("name a role to take there: --role NAME, such as OrganizationAccountAccessRole")
	} else {
		_, err = t.reader(account).Call(ctx, "enter", apimodel.Call{Service: "sts", Operation: "GetCallerIdentity", Account: account, Region: t.home})
		var api *apimodel.APIError
		if errors.As(err, &api) {
			err = fault.E(fault.Denied, "", err).WithHint("role %s has to exist in account %s and to trust %s; where it asks for an external id: --external-id", t.cfg.Role, account, t.report.Principal)
		}
	}
	t.closed[account] = err
	return err == nil
}

// off reports whether a Region is turned off in an account that can be entered, and notes
// it once. One that does not say is taken for on: what is read there says what is wrong.
func (t *trial) off(ctx context.Context, account, region string) bool {
	if org.AlwaysOn(region) {
		return false
	}
	on, asked := t.on[account]
	if !asked {
		if reply, err := t.reader(account).Call(ctx, "regions", org.RegionsCall(account, t.home)); err == nil {
			on = org.RegionsOf(reply.Output)
		}
		t.on[account] = on
	}
	is, known := on[region]
	if !known || is {
		return false
	}
	note := fmt.Sprintf("Region %s is turned off in account %s: nothing was looked at there", region, account)
	if !slices.Contains(t.report.Notes, note) {
		t.report.Notes = append(t.report.Notes, note)
	}
	return true
}

// look reads Security Hub, and sweeps where it is not there to be read.
func (t *trial) look(ctx context.Context) {
	covered := map[[2]string]bool{} // account and region
	for _, region := range t.report.Regions {
		if t.cfg.Sweep {
			break
		}
		t.lookInRegion(ctx, region, covered)
	}
	t.sweep(ctx, covered)
}

// lookInRegion asks the Security Hub of the credentials' account first: that of an
// administrator has the findings of its members, which are then not asked.
func (t *trial) lookInRegion(ctx context.Context, region string, covered map[[2]string]bool) {
	accounts := slices.Clone(t.accounts)
	if !slices.ContainsFunc(accounts, func(a org.Account) bool { return a.ID == t.own }) {
		accounts = append(accounts, org.Account{ID: t.own}) // an administrator's hub knows the others
	}
	slices.SortStableFunc(accounts, func(a, b org.Account) int {
		switch {
		case a.ID == t.own && b.ID != t.own:
			return -1
		case b.ID == t.own && a.ID != t.own:
			return 1
		}
		return 0
	})
	for _, a := range accounts {
		if ctx.Err() != nil {
			return
		}
		if covered[[2]string{a.ID, region}] || t.cfg.Role == "" && a.ID != t.own || !t.open(ctx, a.ID) || t.off(ctx, a.ID, region) {
			continue
		}
		t.told(fmt.Sprintf("reading Security Hub of account %s in %s", a.ID, region))
		before := len(t.found.all)
		n, err := t.readHub(ctx, a.ID, region)
		if err != nil {
			if notSubscribed(err) {
				t.report.Notes = append(t.report.Notes, fmt.Sprintf("Security Hub is not on in account %s, %s: its resources are checked instead", a.ID, region))
			} else {
				t.unread(TrialProblem{What: "securityhub:GetFindings", Account: a.ID, Region: region, Problem: err.Error(), Hint: t.hint(a.ID, fault.HintOf(err))})
			}
			continue
		}
		t.report.Sources = append(t.report.Sources, TrialSource{Kind: TrialHub, Account: a.ID, Region: region, Findings: n})
		covered[[2]string{a.ID, region}] = true
		for _, f := range t.found.all[before:] {
			covered[[2]string{f.record.Account, region}] = true
		}
	}
}

// hint says what to do about a read that was refused. Those of a sweep speak of a
// server's role.
func (t *trial) hint(account, hint string) string {
	switch {
	case hint != "" && !strings.HasPrefix(hint, "let the member role"):
		return hint
	case account == t.own || account == "":
		return "attach AWS's SecurityAudit policy to these credentials"
	}
	return "attach AWS's SecurityAudit policy to role " + t.cfg.Role + " in account " + account
}

// notSubscribed reports whether Security Hub said that it is off.
func notSubscribed(err error) bool {
	var api *apimodel.APIError
	return errors.As(err, &api) && api.Code == "InvalidAccessException"
}

// readHub reads the open findings of one Security Hub, the most severe first.
func (t *trial) readHub(ctx context.Context, account, region string) (int, error) {
	reader, before := t.reader(account), len(t.found.all)
	for _, severity := range []string{"CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL"} {
		token := ""
		for {
			read := len(t.found.all) - before
			if read >= maxTrialFindings {
				t.report.Limits = append(t.report.Limits, fmt.Sprintf("Security Hub of account %s in %s has more than %d open findings: the least severe were not read", account, region, maxTrialFindings))
				return read, nil
			}
			in := map[string]any{"Filters": t.hubFilters(severity, region), "MaxResults": 100}
			if token != "" {
				in["NextToken"] = token
			}
			reply, err := reader.Call(ctx, "findings", apimodel.Call{Service: "securityhub", Operation: "GetFindings", Account: account, Region: region, Input: in})
			if err != nil {
				return read, err
			}
			list, _ := reply.Output["Findings"].([]any)
			for _, f := range list {
				t.take(f, region)
			}
			next, _ := reply.Output["NextToken"].(string)
			if next == "" || next == token {
				break
			}
			token = next
		}
	}
	return len(t.found.all) - before, nil
}

// hubFilters ask for what is open. What AWS answers is held against the same here.
func (t *trial) hubFilters(severity, region string) map[string]any {
	is := func(comparison string, values ...string) []any {
		out := make([]any, len(values))
		for i, v := range values {
			out[i] = map[string]any{"Value": v, "Comparison": comparison}
		}
		return out
	}
	f := map[string]any{
		"RecordState": is("EQUALS", "ACTIVE"), "WorkflowStatus": is("EQUALS", "NEW", "NOTIFIED"), "ComplianceStatus": is("NOT_EQUALS", "PASSED"),
		"SeverityLabel": is("EQUALS", severity),
	}
	if len(t.cfg.Regions) > 0 { // asked for; a hub that aggregates has others too
		f["Region"] = is("EQUALS", region)
	}
	const most = 20 // values that AWS takes
	if n := len(t.cfg.Accounts); n > 0 && n <= most {
		f["AwsAccountId"] = is("EQUALS", t.cfg.Accounts...)
	}
	if n := len(t.cfg.Controls); n > 0 && n <= most {
		var ids []string
		for _, c := range t.cfg.Controls {
			ids = append(ids, control.Canonical(c))
		}
		f["ComplianceSecurityControlId"] = is("EQUALS", ids...)
	}
	return f
}

// trialSweeps are the reading sessions of a sweep, one for each kind of account.
type trialSweeps struct{ t *trial }

// Reader opens them.
func (s trialSweeps) Reader(string) sweep.Caller {
	return &trialCaller{own: s.t.reader(s.t.own), other: s.t.gate.ReadOnly(awsapi.Identity{Role: s.t.cfg.Role, SessionName: "parry-try"}), account: s.t.own}
}

// Pages gives the pages of a listing.
func (s trialSweeps) Pages(ctx context.Context, caller sweep.Caller, call apimodel.Call, page func(map[string]any) error) error {
	return sweepGate{s.t.gate, ""}.Pages(ctx, caller, call, page)
}

// trialCaller calls in the account of the credentials with these, elsewhere as the role.
type trialCaller struct {
	own, other *awsapi.Session
	account    string
}

// Call makes one read.
func (c *trialCaller) Call(ctx context.Context, step string, call apimodel.Call) (apimodel.Reply, error) {
	if call.Account == "" || call.Account == c.account {
		return c.own.Call(ctx, step, call)
	}
	return c.other.Call(ctx, step, call)
}

// sweep looks at the resources in every account and region that no Security Hub covers.
func (t *trial) sweep(ctx context.Context, covered map[[2]string]bool) {
	// Accounts with the same regions are swept together.
	groups := map[string][]org.Account{}
	outside := 0
	for _, a := range t.accounts {
		var regions []string
		for _, r := range t.report.Regions {
			if !covered[[2]string{a.ID, r}] {
				regions = append(regions, r)
			}
		}
		if len(regions) == 0 || ctx.Err() != nil {
			continue
		}
		if !t.open(ctx, a.ID) {
			if t.cfg.Role == "" {
				outside++
			} else {
				t.problem("entering the account", a.ID, "", t.closed[a.ID])
			}
			continue
		}
		regions = slices.DeleteFunc(regions, func(r string) bool { return t.off(ctx, a.ID, r) })
		if len(regions) == 0 {
			continue
		}
		key := strings.Join(regions, " ")
		groups[key] = append(groups[key], a)
	}
	if outside > 0 {
		t.unread(TrialProblem{What: fmt.Sprintf("%d other account(s)", outside), Problem: "they were not entered, since no role was named", Hint: "name a role to take there: --role NAME, such as OrganizationAccountAccessRole"})
	}
	if len(groups) == 0 {
		return
	}
	sweeper, err := sweep.New(sweep.Config{Gate: trialSweeps{t}})
	if err != nil {
		t.problem("sweeping", "", "", err)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		for _, pb := range t.content.Playbooks() {
			if pb.Sweep == nil || !slices.ContainsFunc(pb.Controls, t.wanted) || ctx.Err() != nil {
				continue
			}
			t.sweepOne(ctx, sweeper, pb, groups[key], strings.Fields(key))
		}
	}
}

func (t *trial) sweepOne(ctx context.Context, sweeper *sweep.Sweeper, pb playbook.Playbook, accounts []org.Account, regions []string) {
	t.told(fmt.Sprintf("checking %s in %d account(s)", pb.ID, len(accounts)))
	source := TrialSource{Kind: TrialSweep, Control: pb.ID}
	err := sweeper.Sweep(ctx, sweep.Request{Playbook: pb, Accounts: accounts, Regions: regions, By: "try"}, func(p sweep.Place) error {
		source.Checked += p.Checked
		if p.Problem != "" {
			t.unread(TrialProblem{What: "checking " + pb.ID, Account: p.Account, Region: p.Region, Problem: p.Problem, Hint: t.hint(p.Account, p.Hint)})
		}
		for _, u := range p.Unread {
			t.unread(TrialProblem{What: "checking " + pb.ID + " on " + u.ARN, Account: p.Account, Region: p.Region, Problem: u.Problem, Hint: t.hint(p.Account, u.Hint)})
		}
		if p.More {
			t.report.Limits = append(t.report.Limits, fmt.Sprintf("more than %d resources fail %s in account %s, %s: the rest is not listed", sweep.MaxListed, pb.ID, p.Account, p.Region))
		}
		for _, r := range p.Failing {
			if t.swept(pb, r, p) {
				source.Findings++
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		t.problem("checking "+pb.ID, "", "", err)
	}
	t.report.Sources = append(t.report.Sources, source)
}
