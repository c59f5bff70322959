package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/parry-security/parry/test/testenv"
)

// fixedKeys are the bad resources that the story fixes.
func fixedKeys() []string {
	return slices.Concat(canaryKeys, followerKeys, []string{publicBucket, openBucket, defaultGroup, password, rotation, accountBlock})
}

// expect has the judge compare every resource with what it should be: those named fixed,
// all others as they were made. It reads with each member's own key.
func (s *story) expect(ctx context.Context, fixed []string) error {
	out, err := s.env.Run(ctx, "controls.py", append([]string{"expect", s.env.EstateFile(), s.resourcesFile, "--fixed"}, fixed...)...)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

func (s *story) judgeNothing(ctx context.Context) (string, error) {
	if err := s.expect(ctx, nil); err != nil {
		return "", err
	}
	if err := s.pause(ctx, false); err != nil {
		return "", err
	}
	return fmt.Sprintf("a program that never asks Parry read all %d resources with the members' own keys: each is as it was made", len(s.resources)), nil
}

func (s *story) judgeFixed(ctx context.Context) (string, error) {
	fixed := fixedKeys()
	if err := s.expect(ctx, fixed); err != nil {
		return "", err
	}
	s.summary.Fixed = fixed
	if err := s.pause(ctx, true); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d resources fixed and otherwise as they were; %d untouched: the good twins, the sandbox, the bastion, and the one that AWS denied", len(fixed), len(s.resources)-len(fixed)), nil
}

// judgeUndone looks at the state, and at every changing call in the wall's log.
func (s *story) judgeUndone(ctx context.Context) (string, error) {
	fixed := fixedKeys()
	if err := s.expect(ctx, slices.DeleteFunc(slices.Clone(fixed), func(k string) bool { return k == openBucket })); err != nil {
		return "", err
	}
	out, err := s.env.Run(ctx, "controls.py", append([]string{"log", s.env.EstateFile(), s.resourcesFile, s.env.WallLog(), "--after", fmt.Sprint(s.worldSeq), "--fixed"}, fixed...)...)
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	var verdict struct {
		Changes int64 `json:"changes"`
	}
	if err := json.Unmarshal(out, &verdict); err != nil {
		return "", err
	}
	s.summary.Figures["changes"] = verdict.Changes
	return fmt.Sprintf("the bucket is exactly as it was made; of %d changes in the request log each was made once, by the member role for a named person or policy, to a resource that was to be fixed", verdict.Changes), nil
}

// pause lets a judge from outside look.
func (s *story) pause(ctx context.Context, fixed bool) error {
	if s.Pause == nil {
		return nil
	}
	return s.Pause(ctx, World{Fixed: fixed, Endpoint: s.env.WallURL, Estate: s.env.EstateFile(), Resources: s.resourcesFile, Env: s.env})
}

// checkMessages reads what people got.
func (s *story) checkMessages(ctx context.Context) (string, error) {
	words := []string{"queued", "awaiting approval", "succeeded", "failed"}
	for _, word := range words {
		if _, err := s.mail(ctx, word); err != nil {
			return "", err
		}
	}
	failed, err := s.mail(ctx, " failed: ")
	if err != nil {
		return "", err
	}
	if text := failed.Text(); !strings.Contains(text, "RevokeSecurityGroupIngress") || !strings.Contains(text, "parry remediation show rem-") {
		return "", fmt.Errorf("the mail about what failed does not say why and what next:\n%s", text)
	}
	missing, err := s.awaitTopic(ctx, words)
	if err != nil {
		return "", err
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("no SNS message says %v", missing)
	}
	return fmt.Sprintf("%d mails and the topic say %s; the last: %s", len(s.env.SMTP.Mails()), strings.Join(words, ", "), failed.Subject), nil
}

// mail waits for one whose subject has the words.
func (s *story) mail(ctx context.Context, words string) (testenv.Mail, error) {
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m, err := s.env.SMTP.Await(wait, func(m testenv.Mail) bool { return strings.Contains(m.Subject, words) })
	if err != nil {
		return m, fmt.Errorf("no mail says %q: %w", words, err)
	}
	return m, nil
}

// awaitTopic reads the topic's subscriber until every word was seen.
func (s *story) awaitTopic(ctx context.Context, words []string) ([]string, error) {
	deadline := s.clock.Now().Add(patience)
	seen := ""
	for {
		out, err := s.env.Run(ctx, "sns_read.py", s.env.EstateFile())
		if err != nil {
			return nil, err
		}
		seen += strings.ToLower(string(out))
		missing := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.Contains(seen, w) })
		if len(missing) == 0 || s.clock.Now().After(deadline) {
			return missing, nil
		}
	}
}

func (s *story) checkAudit(ctx context.Context) (string, error) {
	out, err := s.parry(ctx, "admin", "audit", "verify", "-o", "json")
	if err != nil {
		return "", err
	}
	report, err := decode[struct {
		OK      bool  `json:"ok"`
		Entries int64 `json:"entries"`
	}](out)
	if err != nil {
		return "", err
	}
	if !report.OK || report.Entries == 0 {
		return "", fmt.Errorf("parry audit verify says %s", out)
	}
	s.summary.Figures["audit_entries"] = report.Entries
	if err := s.sum(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d entries, the chain is whole", report.Entries), nil
}
