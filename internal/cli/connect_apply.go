package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
)

// What became of a part that was to be made.
const (
	partMade      = "made"
	partUpdated   = "updated"
	partUnchanged = "unchanged"
	partDeclined  = "declined"
)

// maxTemplate is what CloudFormation takes in a call, in bytes.
const maxTemplate = 51200

// appliedPart is a part of the connection that --apply looked after.
type appliedPart struct {
	Part    string       `json:"part"`
	Where   string       `json:"where"`
	State   string       `json:"state"`
	Changes []partChange `json:"changes,omitempty"`
	Calls   []madeCall   `json:"calls,omitempty"`
}

// partChange is one line of what people are asked about.
type partChange struct {
	Action      string `json:"action"`
	Resource    string `json:"resource"`
	Type        string `json:"type"`
	Replacement string `json:"replacement,omitempty"`
}

// madeCall is a change that was sent, as it was planned.
type madeCall struct {
	Call  string `json:"call"`
	About string `json:"about"`
}

// applyView is what --apply did.
type applyView struct {
	Account string        `json:"account"`
	Parts   []appliedPart `json:"parts"`
	Next    []nextStep    `json:"next"`
}

// applying carries out the parts of the connection that belong to one account.
type applying struct {
	s       *shared
	ctx     context.Context //nolint:containedctx // one command, whose steps all end with it
	caller  *app.Caller
	c       connection
	account string
	yes     bool
	limit   time.Duration // of one wait
	pause   time.Duration // between two looks
	view    applyView
}

// checkApply refuses before anything is asked or sent.
func (s *shared) checkApply(f connectFlags, c connection) error {
	in, ok := s.In.(*os.File)
	switch {
	case f.check:
		return usage("give --apply or --check, not both")
	case c.hub == "":
		return exit(ExitUsage, fault.Errorf(fault.Invalid, "", "the hub account is not known: organization.hub_account is not set").WithHint("write a parry.yaml: parry init"))
	case !slices.Contains([]string{"", "self", "delegated-admin"}, f.callAs):
		return usage("--call-as %.80q is not self or delegated-admin", f.callAs)
	case f.timeout <= 0 || f.timeout > 12*time.Hour:
		return usage("--timeout must be over 0 and at most 12h")
	case f.pause < 100*time.Millisecond || f.pause > time.Minute:
		return usage("--interval must be between 100ms and 1m")
	case !f.yes && (!ok || !isTerminal(in)):
		return exit(ExitUsage, fault.Errorf(fault.Invalid, "", "nothing was sent: there is no terminal to ask at, and --yes is not given").
			WithHint("see what would be made: parry org connect --apply at a terminal; to make it without a question: --yes"))
	}
	return nil
}

// applyConnection makes what belongs to the account of the credentials.
func (s *shared) applyConnection(ctx context.Context, cfg config.Config, f connectFlags, c connection) error {
	if err := s.checkApply(f, c); err != nil {
		return err
	}
	m, err := s.membership(ctx, cfg, f)
	if err != nil {
		return err
	}
	if len(m.incomplete) > 0 {
		return exit(ExitFailing, fault.Errorf(fault.Invalid, "", "nothing was sent: the member role is not complete: %s", m.incomplete[0]).
			WithHint("write the files and add what is lacking by hand: parry org connect"))
	}
	files, err := c.files(m)
	if err != nil {
		return err
	}
	caller, account, err := app.NewInstaller(ctx, cfg, hostUser(), slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(c.regions), c.organizationRegion())))), s.quiet())
	if err != nil {
		return err
	}
	defer caller.Close()
	a := &applying{s: s, ctx: ctx, caller: caller, c: c, account: account, yes: f.yes, limit: f.timeout, pause: f.pause, view: applyView{Account: account, Parts: []appliedPart{}}}
	set, err := a.stackSetOf(f)
	if err != nil {
		return err
	}
	template := map[string]string{}
	for _, file := range files {
		template[file.name] = string(file.content)
		if len(file.content) > maxTemplate && strings.HasSuffix(file.name, ".yaml") {
			return fault.Errorf(fault.Exhausted, "", "nothing was sent: %s has %d bytes, CloudFormation takes %d in a call", file.name, len(file.content), maxTemplate).
				WithHint("connect fewer playbooks: --playbook; or write the files and deploy them by a bucket")
		}
	}
	err = a.parts(template, set)
	a.view.Next = a.next(set)
	if errors.Is(err, errInterrupted) {
		err = fmt.Errorf("%w; AWS goes on with what is under way, and the same command with what is left", err)
	}
	return errors.Join(err, a.finish(err))
}

// parts makes them in the order in which one needs the other, and stops at the first
// that cannot be made: what is there by then is found again by the next run.
func (a *applying) parts(template map[string]string, set *stackSet) error {
	var steps []func() error
	if a.account == a.c.hub {
		steps = append(steps, func() error {
			return a.stack(stack{name: "parry-hub", region: a.c.region, template: template["hub.yaml"], capability: "CAPABILITY_NAMED_IAM"})
		})
		if a.c.on("security-hub") {
			steps = append(steps, a.action)
		}
	}
	for _, f := range a.c.forwarders() {
		if f.account != a.account {
			continue
		}
		for _, region := range f.regions {
			steps = append(steps, func() error {
				return a.stack(stack{name: f.stackName(), region: region, template: template["forward.yaml"], capability: "CAPABILITY_IAM", parameters: a.c.overrides(f)})
			})
		}
	}
	if set != nil {
		steps = append(steps, func() error { return a.stackSet(*set, template["member.yaml"]) })
	}
	if len(steps) == 0 {
		return exit(ExitUsage, fault.Errorf(fault.Invalid, "", "nothing was sent: these credentials are of account %s, where nothing of the connection belongs", printable(a.account)).
			WithHint("use credentials of the hub account %s, of an account that --administrator names, or of the management account: AWS_PROFILE", a.c.hub))
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// next says what is left, in other accounts and after.
func (a *applying) next(set *stackSet) []nextStep {
	var out []nextStep
	with := func(account, what string) {
		out = append(out, nextStep{"with credentials of " + account + ": " + what, "parry org connect --apply, with the same flags"})
	}
	if a.account != a.c.hub {
		with("the hub account "+a.c.hub, "queue and rules")
	}
	for _, f := range a.c.forwarders() {
		if f.account != a.account {
			with("account "+f.account, "rules that forward")
		}
	}
	if set == nil {
		out = append(out, nextStep{
			"with credentials of the management account, or of a delegated administrator of StackSets with --call-as delegated-admin: the member role",
			"parry org connect --apply --unit " + unitPlaceholder + ", with the same flags",
		})
	}
	return append(out,
		nextStep{"put the queue, and the rule for the custom action, into parry.yaml: parry org connect writes them", "parry org connect"},
		nextStep{"see what is connected, with credentials of the hub account", "parry org connect --check"})
}

// finish prints the result. What was declined waits.
func (a *applying) finish(failed error) error {
	if len(a.view.Parts) == 0 {
		return nil
	}
	err := a.s.print(a.s.Out, a.view, func() grid {
		g := grid{header: []string{"Part", "Where", "State", "Changes"}}
		for _, p := range a.view.Parts {
			g.rows = append(g.rows, []string{p.Part, p.Where, p.State, count(int64(len(p.Changes)))})
		}
		return g
	})
	if err != nil || failed != nil {
		return err
	}
	if a.s.format == "table" && a.s.query == "" {
		for n, step := range a.view.Next {
			fmt.Fprintf(a.s.Out, "%2d. %s\n      %s\n", n+1, printable(step.Step), printable(step.Command))
		}
	}
	if slices.ContainsFunc(a.view.Parts, func(p appliedPart) bool { return p.State == partDeclined }) {
		return exit(ExitWaiting, nil)
	}
	return nil
}

// ask sends a read.
func (a *applying) ask(service, operation, region string, in map[string]any) (map[string]any, error) {
	planned, out, err := a.caller.Plan(a.ctx, apimodel.Call{Service: service, Operation: operation, Region: region, Input: in})
	if err == nil && planned != nil {
		err = fault.Errorf(fault.Internal, "", "%s:%s is no read", service, operation)
	}
	return out, err
}

// plan plans a change.
func (a *applying) plan(service, operation, region string, in map[string]any) (*app.PlannedChange, error) {
	planned, _, err := a.caller.Plan(a.ctx, apimodel.Call{Service: service, Operation: operation, Region: region, Input: in})
	if err == nil && planned == nil {
		err = fault.Errorf(fault.Internal, "", "%s:%s is no change", service, operation)
	}
	return planned, err
}

// send sends a change that was planned, and notes it with the part.
func (a *applying) send(p *appliedPart, change *app.PlannedChange) (map[string]any, error) {
	out, err := a.caller.Send(a.ctx, change)
	if err == nil {
		p.Calls = append(p.Calls, callOf(change))
	}
	return out, err
}

// callOf says in a line what a change is about. A template is named by its digest.
func callOf(change *app.PlannedChange) madeCall {
	shown := change.Shown
	var about []string
	for _, name := range []string{"StackName", "StackSetName", "ChangeSetName", "ChangeSetType", "Id", "PermissionModel", "CallAs"} {
		if v, ok := shown.Input[name].(string); ok {
			about = append(about, name+"="+v)
		}
	}
	if text, ok := shown.Input["TemplateBody"].(string); ok {
		about = append(about, "TemplateBody=sha256:"+digest(text)[:16])
	}
	if t, ok := shown.Input["DeploymentTargets"].(map[string]any); ok {
		about = append(about, fmt.Sprintf("DeploymentTargets=%v", t["OrganizationalUnitIds"]))
	}
	return madeCall{shown.Service + ":" + shown.Operation, shown.Account + " " + shown.Region + " " + strings.Join(about, " ")}
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// approve shows what would change and by which calls, and asks. The tables are for
// people, so they go where the question goes; the result alone is standard output.
func (a *applying) approve(p *appliedPart, calls ...*app.PlannedChange) (bool, error) {
	g := grid{header: []string{"Action", "Resource", "Type", "Replacement"}}
	for _, c := range p.Changes {
		g.rows = append(g.rows, []string{c.Action, c.Resource, c.Type, c.Replacement})
	}
	w := a.s.Err
	fmt.Fprintf(w, "\n%s in %s:\n", printable(p.Part), printable(p.Where))
	people := output{format: "table", width: a.s.width, color: a.s.color}
	if err := people.print(w, p.Changes, func() grid { return g }); err != nil {
		return false, err
	}
	for _, c := range calls {
		m := callOf(c)
		fmt.Fprintf(w, "  sends %s %s\n", printable(m.Call), printable(m.About))
	}
	if a.yes {
		return true, nil
	}
	yes, _, err := a.s.ask(a.ctx, "Make these changes? [y/N] ")
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return yes, err
}

// progress tells people on standard error how far it is.
func (a *applying) progress(format string, args ...any) {
	fmt.Fprintf(a.s.Err, "%s\n", printable(fmt.Sprintf(format, args...)))
}

// wait looks until done says so. AWS goes on where this command is stopped.
func (a *applying) wait(what string, done func() (bool, error)) error {
	limit, cancel := context.WithTimeout(a.ctx, a.limit)
	defer cancel()
	for {
		over, err := done()
		if err != nil || over {
			return err
		}
		timer := time.NewTimer(a.pause)
		select {
		case <-timer.C:
		case <-limit.Done():
			timer.Stop()
			if a.ctx.Err() != nil {
				return context.Cause(a.ctx)
			}
			return fault.Errorf(fault.Unavailable, "", "%s is not done after %s; AWS goes on with it", what, a.limit).
				WithHint("run the same command again: it goes on waiting; or wait longer: --timeout 2h")
		}
	}
}

// action makes the custom action, which CloudFormation has no type for.
func (a *applying) action() error {
	const name = "custom action " + actionID
	p := appliedPart{Part: name, Where: a.account + " " + a.c.region, State: partUnchanged}
	_, err := a.ask("securityhub", "DescribeActionTargets", a.c.region, map[string]any{"ActionTargetArns": []any{a.c.actionARN()}})
	switch {
	case err == nil:
		a.view.Parts = append(a.view.Parts, p)
		return nil
	case !absent(err):
		return fmt.Errorf("look for the custom action: %w", err)
	}
	change, err := a.plan("securityhub", "CreateActionTarget", a.c.region, map[string]any{"Id": actionID, "Name": actionName, "Description": actionText})
	if err != nil {
		return err
	}
	p.Changes = []partChange{{"Add", actionName, "action target of Security Hub", ""}}
	yes, err := a.approve(&p, change)
	if err != nil {
		return err
	}
	p.State = partDeclined
	if yes {
		if _, err := a.send(&p, change); err != nil {
			return fmt.Errorf("make the custom action: %w", err)
		}
		p.State = partMade
	}
	a.view.Parts = append(a.view.Parts, p)
	return nil
}
