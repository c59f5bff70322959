package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/target"
)

// whatRules are, for the help of both commands.
const whatRules = "RULE is an automation rule, by key, ARN or name, or a rule of the event bus, as BUS/NAME or by ARN. SUBJECT is the id of a stored\n" +
	"finding, or for a rule of the bus also a file with an event, - for standard input."

func (s *shared) ruleExplainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "explain RULE SUBJECT", Short: "Show why a rule applies to a finding or an event or not, clause by clause", Args: cobra.ExactArgs(2),
		Long: "Shows which of an automation rule's criteria a finding meets, as its provider sent it last, and what the action would change; or\n" +
			"which clauses of a bus rule's pattern an event meets, and what its targets would be sent. The rule is taken as enabled and alone.\n" +
			whatRules,
		Example: "  parry rule explain 'Suppress the sandbox' FINDING\n  parry rule explain default/orders event.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := s.judge(cmd.Context(), args[0], "", args[1])
			return err
		},
	}
}

func (s *shared) ruleTestCommand() *cobra.Command {
	var draft string
	c := &cobra.Command{
		Use: "test [RULE] SUBJECT", Short: "Tell whether a rule applies to a finding or an event; exit 3 if not", Args: cobra.RangeArgs(1, 2),
		Long: "Shows what parry rule explain shows, and exits 3 if the rule does not apply. Nothing is sent and nothing changes. " + "With --pattern in\n" +
			"place of RULE a draft is tested; with an event in a file that needs no server.\n" + whatRules,
		Example: "  parry rule test default/orders event.json\n  parry rule test --pattern @rule.json FINDING\n  parry rule test 'Suppress the sandbox' FINDING",
		RunE: func(cmd *cobra.Command, args []string) error {
			if (draft == "") == (len(args) == 1) {
				return usage("name a rule, or give a pattern with --pattern")
			}
			matched, err := s.judge(cmd.Context(), args[0], draft, args[len(args)-1])
			if err == nil && !matched {
				return exit(ExitFailing, nil)
			}
			return err
		},
	}
	c.Flags().StringVar(&draft, "pattern", "", "in place of RULE: an event pattern, or @FILE")
	return c
}

// judge shows how a rule, or a draft of a pattern, judges its subject.
func (s *shared) judge(ctx context.Context, rule, draft, subject string) (matched bool, err error) {
	if draft != "" {
		text, err := patternText(draft)
		if err != nil {
			return false, usage("--pattern: %v", err)
		}
		return s.judgeEvent(ctx, api.BusRule{Name: "draft", Pattern: text, Enabled: true}, subject)
	}
	r, found, err := s.busRule(ctx, rule)
	switch {
	case err != nil:
		return false, err
	case found:
		return s.judgeEvent(ctx, r, subject)
	case holdsEvent(subject):
		return false, usage("%s is a file, and %q no rule of the bus: an automation rule is tested on a stored finding; for a draft: parry rule preview --file", subject, rule)
	}
	return s.explainStored(ctx, rule, subject)
}

// busRule finds a rule of the bus, where text can name one.
func (s *shared) busRule(ctx context.Context, text string) (api.BusRule, bool, error) {
	if _, resource, ok := strings.Cut(text, ":rule/"); ok && strings.HasPrefix(text, "arn:") {
		if text = resource; !strings.Contains(text, "/") {
			text = "default/" + text
		}
	}
	i := strings.LastIndexByte(text, '/')
	if i <= 0 || strings.ContainsAny(text, " :") {
		return api.BusRule{}, false, nil
	}
	c, err := s.client()
	if err != nil {
		return api.BusRule{}, false, err
	}
	page, err := c.BusRules(ctx, text[:i], text[i+1:], client.Paging{})
	if err != nil && !fault.Is(err, fault.NotFound) {
		return api.BusRule{}, false, err
	}
	for _, r := range page.Items {
		if r.Name == text[i+1:] {
			return r, true, nil
		}
	}
	return api.BusRule{}, false, nil
}

// holdsEvent reports whether a subject is a file, and not the id of a finding.
func holdsEvent(name string) bool {
	_, err := os.Stat(name)
	return name == "-" || !errors.Is(err, fs.ErrNotExist)
}

// busVerdict is how a rule of the bus judges an event.
type busVerdict struct {
	Rule    string                 `json:"rule"`
	Enabled bool                   `json:"enabled"`
	Matched bool                   `json:"matched"`
	Clauses []pattern.ClauseResult `json:"clauses"`
	Targets []wouldSend            `json:"targets,omitempty"`
}

// wouldSend is what a target would be sent.
type wouldSend struct {
	ID      string `json:"id"`
	ARN     string `json:"arn"`
	Input   string `json:"input,omitempty"`
	Problem string `json:"problem,omitempty"`
}

func (s *shared) judgeEvent(ctx context.Context, r api.BusRule, subject string) (bool, error) {
	if r.Pattern == "" {
		return false, fault.Errorf(fault.Invalid, "test rule", "the rule %s/%s has a schedule and no pattern: no event concerns it", r.Bus, r.Name)
	}
	p, err := pattern.Parse([]byte(r.Pattern))
	if err != nil {
		return false, err
	}
	event, err := s.eventOf(ctx, subject)
	if err != nil {
		return false, err
	}
	v := busVerdict{Rule: strings.TrimPrefix(r.Bus+"/"+r.Name, "/"), Enabled: r.Enabled}
	if v.Clauses, err = p.Explain(event); err != nil {
		return false, err
	}
	v.Matched = v.Clauses[len(v.Clauses)-1].Met
	if v.Matched {
		for _, t := range r.Targets {
			v.Targets = append(v.Targets, sentTo(r, t, event))
		}
	}
	if err := s.print(s.Out, v, func() grid { return clauseGrid(v.Clauses) }); err != nil {
		return false, err
	}
	s.sumVerdict(v)
	return v.Matched, nil
}

// sentTo renders what a target would be sent.
func sentTo(r api.BusRule, t api.BusRuleTarget, event []byte) wouldSend {
	out := wouldSend{ID: t.ID, ARN: t.ARN}
	changes := strings.Contains(t.ARN, ":automation-definition/")
	input, err := t.Target().Compile(target.Options{AWSCompatible: r.Transformers == "aws" && !changes})
	if err == nil {
		var raw []byte
		raw, err = input.Render(event, target.Meta{RuleARN: r.ARN, RuleName: r.Name, IngestionTime: service.SystemClock{}.Now()})
		out.Input = string(raw)
	}
	if err != nil {
		out.Problem = err.Error()
	}
	return out
}

func clauseGrid(clauses []pattern.ClauseResult) grid {
	g := grid{header: []string{"Place", "Wanted", "Event has", "Met", "Detail"}}
	for _, c := range clauses {
		have := strings.Join(c.Found, ", ")
		if c.More > 0 {
			have += fmt.Sprintf(" and %d more", c.More)
		}
		g.rows = append(g.rows, []string{c.Place, c.Wanted, short(printable(have), 80), yesNo(c.Met), c.Detail})
	}
	return g
}

func (s *shared) sumVerdict(v busVerdict) {
	if !v.Matched {
		fmt.Fprintf(s.Err, "%s does not match the event\n", v.Rule)
		return
	}
	fmt.Fprintf(s.Err, "%s matches the event; nothing was sent\n", v.Rule)
	if !v.Enabled {
		fmt.Fprintln(s.Err, "  but it is not enabled")
	}
	for _, t := range v.Targets {
		if t.Problem != "" {
			fmt.Fprintf(s.Err, "  %s (%s) would fail: %s\n", t.ID, t.ARN, short(oneLine(t.Problem), 200))
			continue
		}
		fmt.Fprintf(s.Err, "  %s (%s) would be sent %s\n", t.ID, t.ARN, short(oneLine(t.Input), 400))
	}
}

// maxEvent bounds an event in a file.
const maxEvent = 1 << 20

// eventOf reads an event from a file, or makes the one by which a stored finding is told.
func (s *shared) eventOf(ctx context.Context, subject string) ([]byte, error) {
	if holdsEvent(subject) {
		in, err := openInput(subject, s.In)
		if err != nil {
			return nil, err
		}
		defer func() { _ = in.Close() }()
		raw, err := io.ReadAll(io.LimitReader(in, maxEvent+1))
		if err == nil && len(raw) > maxEvent {
			return nil, fault.Errorf(fault.Invalid, "read event", "%s has more than %d bytes", subject, maxEvent)
		}
		return raw, err
	}
	c, err := s.client()
	if err != nil {
		return nil, err
	}
	f, err := findFinding(ctx, c, subject)
	if err != nil {
		return nil, err
	}
	d, err := c.Finding(ctx, finding.ID{ProductArn: f.ProductArn, Id: f.ID})
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"version": "0", "id": "test", "source": pattern.SourceSecurityHub, "detail-type": pattern.FindingsImported, "account": f.Account, "region": f.Region,
		"time": f.UpdatedAt.UTC().Format(time.RFC3339), "resources": []string{f.ProductArn + "/" + f.ID}, "detail": map[string]any{"findings": []json.RawMessage{d.Document}},
	})
}
