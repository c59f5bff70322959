package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/remediation"
)

const maxCallInput = 6 << 20

func (s *shared) awsCommand() *cobra.Command {
	c := &cobra.Command{Use: "aws", Short: "Call AWS through Parry's gate, without a server"}
	c.AddCommand(s.awsCallCommand(), s.awsWaitCommand(), s.awsPolicyCommand())
	return c
}

// callInput reads the one JSON object that an operation takes.
func (s *shared) callInput(value string) (map[string]any, error) {
	raw, err := s.readInput(value, maxCallInput)
	if err != nil {
		return nil, usage("--input: %v", err)
	}
	var in map[string]any
	err = json.Unmarshal(raw, &in)
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrongType) || err == nil && in == nil:
		return nil, usage("--input is not a JSON object, such as {\"Bucket\": \"example\"}")
	case errors.As(err, &syntax):
		return nil, usage("--input is not JSON: %v (at byte %d)", err, syntax.Offset)
	case err != nil:
		return nil, usage("--input is not JSON: %v", err)
	}
	return in, nil
}

// printPlanned shows the plan of one call.
func (s *shared) printPlanned(c remediation.PlannedCall) error {
	if s.format == "table" && s.query == "" {
		t := &sheet{w: s.Out, color: s.color}
		t.calls([]remediation.PlannedCall{c})
		return t.err
	}
	return s.print(s.Out, c, func() grid { return callGrid([]remediation.PlannedCall{c}) })
}

// callGrid shows planned calls as people read them: one row per call, and under
// a change one row per member that it touches.
func callGrid(calls []remediation.PlannedCall) grid {
	g := grid{header: []string{"#", "Step", "Call", "Resource or member", "Before", "After"}}
	for _, c := range calls {
		g.rows = append(g.rows, []string{
			fmt.Sprint(c.Seq), c.Step, c.Service + ":" + c.Operation, resourceOf(c), classOf(c), undoOf(c),
		})
		for _, d := range c.Diff {
			g.rows = append(g.rows, []string{"", "", "", "  " + d.Path, wholeValue(d.Before), wholeValue(d.After)})
		}
	}
	return g
}

func resourceOf(c remediation.PlannedCall) string {
	if c.Resource != "" {
		return c.Resource
	}
	return c.Account + " " + c.Region
}

func classOf(c remediation.PlannedCall) string {
	if c.Class == apimodel.Read {
		return "read"
	}
	return "CHANGE"
}

func undoOf(c remediation.PlannedCall) string {
	switch {
	case c.Class == apimodel.Read:
		return ""
	case c.Irreversible:
		return "cannot be undone"
	default:
		return "undo: " + c.Inverse
	}
}

// orAbsent is a value in a column, where it has no more room than that.
func orAbsent(v string) string {
	if v == "" {
		return "(absent)"
	}
	return short(v, maxInline)
}
