package route

import (
	"errors"
	"log/slog"
	"slices"

	"github.com/parry-security/parry/internal/casefile"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/store"
)

// report hands an event to the cases of a template: each of its findings that the rule
// would select alone, or the event itself where it has none.
func (h *handling) report(r Rule, template string, log *slog.Logger) error {
	t, ok := h.stage.cfg.Cases[template]
	if !ok { // unreachable: the rule was compiled with it
		return fault.Terminal(fault.Errorf(fault.NotFound, "report to a case", "there is no case template %q", template))
	}
	why, quiet := "", false
	switch {
	case h.event.Source == pattern.SourceSecurityIR:
		why, quiet = "the event is about a case", true
	case h.event.DetailType == pattern.FindingsImportedV2:
		why, quiet = "the finding comes in an event of its own, in ASFF", true
	case h.event.ReplayName != "" && !t.Replays:
		why = "the event is replayed, and the template takes no replays"
	}
	if why != "" {
		level := slog.LevelInfo
		if quiet { // a rule that says no detail-type meets one for every finding and entry
			level = slog.LevelDebug
		}
		log.Log(h.ctx, level, "no case", "template", template, "reason", why)
		return nil
	}
	reports, err := h.reports(r)
	if err != nil {
		return err
	}
	for _, one := range reports {
		one.Template, one.Rule = template, r.ID
		if err := h.send(store.TopicCase, one.Key(), one); err != nil {
			return err
		}
	}
	return nil
}

// reports gives what a rule says of the event. Findings are read of AWS's and Parry's
// own events alone: whoever may put events could else name any account.
func (h *handling) reports(r Rule) ([]casefile.Report, error) {
	if !pattern.Reserved(h.event.Source) || !slices.Contains([]string{pattern.FindingsImported, pattern.FindingsCustomAction, pattern.FindingOverdue}, h.event.DetailType) {
		return []casefile.Report{casefile.FromEvent(h.event)}, nil
	}
	findings, err := h.singles()
	if err != nil {
		return nil, err
	}
	out := make([]casefile.Report, 0, len(findings))
	for _, one := range findings {
		if !slices.Contains(one.matched, r.ID) {
			var u *pattern.Unjudged
			if errors.As(one.err, &u) && slices.Contains(u.Names, r.ID) {
				return nil, fault.Terminal(one.err)
			}
			continue
		}
		out = append(out, casefile.FromFinding(h.event, one.finding))
	}
	return out, nil
}
