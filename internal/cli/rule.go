package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
)

func (s *shared) ruleCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "rule", Short: "Change findings as they come in: automation rules",
		Long: "Automation rules change findings as they come in: criteria that a provider's finding must meet, and one action.\n" +
			"RULE is a rule's key, its ARN, or its name where no other has it.",
	}
	c.AddCommand(
		s.ruleListCommand(), s.ruleShowCommand(), s.ruleCreateCommand(), s.ruleUpdateCommand(), s.ruleDeleteCommand(),
		s.rulePreviewCommand(), s.ruleTestCommand(), s.ruleBacktestCommand(), s.ruleExplainCommand(), s.ruleRunCommand(), s.ruleRunsCommand(), s.ruleCancelCommand(),
	)
	return c
}

func (s *shared) ruleListCommand() *cobra.Command {
	return listCommand(s, &cobra.Command{Use: "list", Short: "List rules in the order of application"}, (*client.Client).Rules, func(items []api.AutomationRule) grid {
		g := grid{header: []string{"Order", "Name", "Status", "Terminal", "Matched", "Changed", "Last", "Expires", "Key"}}
		for _, r := range items {
			g.rows = append(g.rows, []string{
				orderText(r.Order), short(r.Name, 60), r.Status, yesNo(r.Terminal), strconv.FormatInt(r.Matched, 10), strconv.FormatInt(r.Changed, 10),
				moment(r.LastHitAt), moment(r.ExpiresAt), r.Key,
			})
		}
		return g
	})
}

func orderText(order float64) string { return strconv.FormatFloat(order, 'f', -1, 64) }

// findRule gives the rule that text names: by key, ARN or name.
func findRule(ctx context.Context, c *client.Client, text string) (api.AutomationRuleDetail, error) {
	const op = "find automation rule"
	key := text
	if strings.HasPrefix(text, "arn:") {
		key = text[strings.LastIndexByte(text, '/')+1:]
	}
	if !strings.ContainsAny(key, "/\\ ") {
		found, err := c.Rule(ctx, key)
		if err == nil && (key == text || found.ARN == text) {
			return found, nil
		}
		if err != nil && !fault.Is(err, fault.NotFound) {
			return found, err
		}
	}
	rules, err := all(ctx, maxItems, c.Rules)
	if err != nil {
		return api.AutomationRuleDetail{}, err
	}
	var named []api.AutomationRule
	for _, r := range rules {
		if r.Name == text || r.ARN == text {
			named = append(named, r)
		}
	}
	switch {
	case len(named) == 0:
		return api.AutomationRuleDetail{}, fault.Errorf(fault.NotFound, op, "there is no rule %q", text).WithHint("run: parry rule list")
	case len(named) > 1:
		return api.AutomationRuleDetail{}, fault.Errorf(fault.Invalid, op, "%d rules have the name %q", len(named), text).
			WithHint("name one by its key: parry rule list")
	}
	return c.Rule(ctx, named[0].Key)
}

func (s *shared) ruleShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show RULE", Short: "Show a rule whole", Args: cobra.ExactArgs(1),
		Example: "  parry rule show 'Suppress sandbox' -o json --query document >rule.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withRule(cmd.Context(), args[0], func(_ *client.Client, r api.AutomationRuleDetail) error { return s.printRule(r) })
		},
	}
}

func (s *shared) withRule(ctx context.Context, text string, fn func(c *client.Client, r api.AutomationRuleDetail) error) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	r, err := findRule(ctx, c, text)
	if err != nil {
		return err
	}
	return fn(c, r)
}

func (s *shared) printRule(r api.AutomationRuleDetail) error {
	return s.print(s.Out, r, func() grid {
		from := "created by " + r.CreatedBy
		if r.Configured {
			from = "automation_rules of parry.yaml"
		}
		return grid{header: []string{"Member", "Value"}, pairs: true, rows: [][]string{
			{"Name", r.Name},
			{"Description", r.Description},
			{"Status", strings.TrimSpace(r.Status + " " + r.Problem)},
			{"Order", orderText(r.Order)},
			{"Terminal", yesNo(r.Terminal)},
			{"Hits", fmt.Sprintf("%d matched, %d changed %s", r.Matched, r.Changed, lastText(r.LastHitAt))},
			{"From", from},
			{"Created", moment(r.CreatedAt)},
			{"Updated", moment(r.UpdatedAt)},
			{"Expires", moment(r.ExpiresAt)},
			{"Version", strconv.Itoa(r.Version)},
			{"Key", r.Key},
			{"ARN", r.ARN},
			{"Document", lineJSON(r.Document)},
		}}
	})
}

func lastText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return "(last " + moment(t) + ")"
}

// maxRuleFile bounds a file of rules.
const maxRuleFile = 16 << 20

// readDocuments reads rules from a file of JSON or YAML, "-" = standard input: one, a
// list, or an object whose member Rules is one.
func (s *shared) readDocuments(file string) ([]map[string]any, error) {
	in := s.In
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxRuleFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(raw) > maxRuleFile:
		return nil, fault.Errorf(fault.Invalid, "read rules", "%s has more than %d bytes", file, maxRuleFile)
	}
	var value any
	if err := yaml.Unmarshal(raw, &value); err != nil {
		return nil, fault.E(fault.Invalid, "read "+file, err).WithHint("a rule is JSON or YAML in the form of aws securityhub create-automation-rule")
	}
	if m, ok := value.(map[string]any); ok {
		list, ok := m["Rules"]
		if !ok {
			return []map[string]any{m}, nil
		}
		value = list
	}
	list, _ := value.([]any)
	out := make([]map[string]any, 0, len(list))
	for i, v := range list {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, fault.Errorf(fault.Invalid, "read "+file, "item %d is no rule", i+1)
		}
		out = append(out, m)
	}
	if len(out) == 0 {
		return nil, fault.Errorf(fault.Invalid, "read "+file, "it holds no rule").WithHint("a rule is JSON or YAML in the form of aws securityhub create-automation-rule")
	}
	return out, nil
}

// ownMembers are what the server says of a rule: a document that was shown may be
// given back.
func withoutOwn(doc map[string]any) map[string]any {
	for _, name := range []string{"RuleArn", "RuleId", "CreatedAt", "UpdatedAt", "CreatedBy"} {
		delete(doc, name)
	}
	return doc
}

func (s *shared) ruleCreateCommand() *cobra.Command {
	var version int
	c := &cobra.Command{
		Use: "create FILE", Short: "Make the rules of a file, JSON or YAML, - for standard input", Args: cobra.ExactArgs(1),
		Long: "A rule is in the form of aws securityhub create-automation-rule, and may have ExpiresAt beside: from then on it is as\n" +
			"good as disabled. A file of several rules makes those that are good and reports the others.",
		Example: "  parry rule create suppress.yaml\n  parry rule preview --file suppress.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			docs, err := s.readDocuments(args[0])
			if err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			made := []api.AutomationRule{}
			var errs []error
			for i, doc := range docs {
				r, err := c.CreateRule(cmd.Context(), api.RuleRequest{Version: version, Document: withoutOwn(doc)})
				if err != nil {
					if len(docs) == 1 {
						return err
					}
					errs = append(errs, fmt.Errorf("rule %d of %s: %w", i+1, args[0], err))
					continue
				}
				made = append(made, r.AutomationRule)
			}
			return s.partly(made, errs, func() grid {
				g := grid{header: []string{"Order", "Name", "Status", "Key", "ARN"}}
				for _, r := range made {
					g.rows = append(g.rows, []string{orderText(r.Order), short(r.Name, 60), r.Status, r.Key, r.ARN})
				}
				return g
			})
		},
	}
	c.Flags().IntVar(&version, "api-version", 1, "1 for Security Hub CSPM's criteria and actions (ASFF), 2 for Security Hub's (OCSF)")
	return c
}

// partly prints what was done, and what was not on standard error.
func (s *shared) partly(done any, errs []error, asGrid func() grid) error {
	if err := s.print(s.Out, done, asGrid); err != nil {
		return err
	}
	for _, err := range errs {
		Report(s.Err, err)
	}
	if len(errs) > 0 {
		return exit(ExitPartly, nil)
	}
	return nil
}

func (s *shared) ruleUpdateCommand() *cobra.Command {
	var file, status, expires, name, description string
	var order float64
	var terminal bool
	c := &cobra.Command{
		Use: "update RULE", Short: "Change members of a rule", Args: cobra.ExactArgs(1),
		Example: "  parry rule update 'Suppress sandbox' --status DISABLED\n  parry rule update KEY --order 20 --expires 2026-12-31T00:00:00Z",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("--status", &status, "ENABLED", "DISABLED"); err != nil {
				return err
			}
			doc := map[string]any{}
			if file != "" {
				docs, err := s.readDocuments(file)
				if err != nil {
					return err
				}
				if len(docs) > 1 {
					return usage("--file %s holds %d rules, and one is to be changed", file, len(docs))
				}
				doc = withoutOwn(docs[0])
			}
			for flag, member := range map[string][2]any{
				"status": {"RuleStatus", status}, "order": {"RuleOrder", order}, "terminal": {"IsTerminal", terminal},
				"name": {"RuleName", name}, "description": {"Description", description}, "expires": {"ExpiresAt", expires},
			} {
				if name, ok := member[0].(string); ok && cmd.Flags().Changed(flag) {
					doc[name] = member[1]
				}
			}
			if doc["ExpiresAt"] == "never" {
				doc["ExpiresAt"] = ""
			}
			if len(doc) == 0 {
				return usage("nothing is to be changed")
			}
			return s.withRule(cmd.Context(), args[0], func(c *client.Client, r api.AutomationRuleDetail) error {
				changed, err := c.UpdateRule(cmd.Context(), r.Key, api.RuleRequest{Version: r.Version, Document: doc})
				if err != nil {
					return err
				}
				return s.printRule(changed)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&file, "file", "", "`FILE` with the members that change, JSON or YAML, - for standard input")
	f.StringVar(&status, "status", "", "ENABLED or DISABLED")
	f.Float64Var(&order, "order", 0, "1 to 1000; rules are applied in ascending order")
	f.BoolVar(&terminal, "terminal", false, "later rules are not applied to a finding that this one matched")
	f.StringVar(&name, "name", "", "another name")
	f.StringVar(&description, "description", "", "another description")
	f.StringVar(&expires, "expires", "", "`time` (RFC 3339) from which the rule is as good as disabled, or never")
	return c
}

func (s *shared) ruleDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use: "delete RULE...", Short: "Delete rules; what they changed on findings stays", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			var errs []error
			for _, text := range args {
				r, err := findRule(cmd.Context(), c, text)
				if err == nil {
					err = c.DeleteRule(cmd.Context(), r.Key)
				}
				if err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Fprintf(s.Err, "%s (%s) is deleted\n", printable(r.Name), r.Key)
			}
			switch {
			case len(errs) == 0:
				return nil
			case len(args) == 1:
				return errs[0]
			}
			for _, err := range errs {
				Report(s.Err, err)
			}
			if len(errs) == len(args) {
				return exit(ExitError, nil)
			}
			return exit(ExitPartly, nil)
		},
	}
}

var errNoRule = errors.New("name a rule, or a file with --file")
