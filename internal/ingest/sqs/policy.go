package sqs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Admission is who may send to a queue by its policy.
type Admission struct {
	Rules    []string // ARNs of EventBridge rules
	Topics   []string // ARNs of SNS topics: whoever may publish there may send too
	Problems []string // whoever else, in words
}

// Admits reads the policy of a queue. Only a rule or a topic that is named in full is
// no problem: whoever can send to the queue reports what the queue may report.
func Admits(policy string) (Admission, error) {
	var a Admission
	if policy == "" {
		return a, nil
	}
	var doc struct {
		Statement statements `json:"Statement"`
	}
	if err := json.Unmarshal([]byte(policy), &doc); err != nil {
		return a, fmt.Errorf("read the queue's policy: %w", err)
	}
	for _, s := range doc.Statement {
		if !strings.EqualFold(s.Effect, "Allow") || !s.sends() {
			continue
		}
		if s.NotPrincipal != nil {
			a.Problems = append(a.Problems, "all principals but some may send (NotPrincipal)")
			continue
		}
		a.take(s)
	}
	return a, nil
}

type statements []statement

// UnmarshalJSON takes one statement for a list of one.
func (l *statements) UnmarshalJSON(raw []byte) error {
	var one statement
	if json.Unmarshal(raw, &one) == nil {
		*l = statements{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]statement)(l))
}

type statement struct {
	Effect       string
	Principal    json.RawMessage
	NotPrincipal json.RawMessage
	Action       texts
	NotAction    texts
	Condition    map[string]map[string]texts
}

type texts []string

// UnmarshalJSON takes one text for a list of one.
func (l *texts) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*l = texts{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(l))
}

// sends reports whether s may allow messages to be sent.
func (s statement) sends() bool {
	if len(s.NotAction) > 0 {
		return true
	}
	return slices.ContainsFunc(s.Action, func(action string) bool {
		action = strings.ToLower(action)
		star := strings.IndexAny(action, "*?")
		return action == "sqs:sendmessage" || action == "sqs:sendmessagebatch" || star >= 0 && strings.HasPrefix("sqs:sendmessage", action[:star])
	})
}

// take judges one statement.
func (a *Admission) take(s statement) {
	sources, narrowed := s.sources()
	for _, who := range s.principals() {
		switch {
		case who != "*" && who != "Service events.amazonaws.com" && who != "Service sns.amazonaws.com":
			a.Problems = append(a.Problems, who+" may send")
		case !narrowed && who == "*":
			a.Problems = append(a.Problems, "anybody may send: there is no condition on aws:SourceArn")
		case !narrowed:
			a.Problems = append(a.Problems, strings.TrimPrefix(who, "Service ")+" may send for every account: there is no condition on aws:SourceArn")
		}
	}
	for _, arn := range sources {
		parts := strings.SplitN(arn, ":", 6)
		switch {
		case len(parts) < 6 || strings.ContainsAny(arn, "*?"):
			a.Problems = append(a.Problems, "whatever "+arn+" stands for may send")
		case parts[2] == "events" && strings.HasPrefix(parts[5], "rule/"):
			a.Rules = append(a.Rules, arn)
		case parts[2] == "sns":
			a.Topics = append(a.Topics, arn)
		default:
			a.Problems = append(a.Problems, arn+" may send")
		}
	}
}

// principals gives them as words: "*", or kind and name.
func (s statement) principals() []string {
	var one string
	if json.Unmarshal(s.Principal, &one) == nil {
		return []string{one}
	}
	var by map[string]texts
	if json.Unmarshal(s.Principal, &by) != nil {
		return []string{"*"} // what cannot be read is taken for the worst
	}
	var out []string
	for kind, names := range by {
		for _, n := range names {
			if n == "*" {
				out = append(out, n)
				continue
			}
			out = append(out, kind+" "+n)
		}
	}
	slices.Sort(out)
	return out
}

// sources gives what a condition limits aws:SourceArn to. One that also holds where
// the key is absent, or that is negated, limits nothing.
func (s statement) sources() (arns []string, narrowed bool) {
	for operator, keys := range s.Condition {
		switch strings.ToLower(operator) {
		case "arnequals", "arnlike", "stringequals", "stringlike":
		default:
			continue
		}
		for key, values := range keys {
			if strings.EqualFold(key, "aws:SourceArn") {
				return values, true
			}
		}
	}
	return nil, false
}

// Policy is one by which only rules may send to the queue.
func Policy(queue string, rules []string) string {
	raw, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
		"Effect": "Allow", "Principal": map[string]string{"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": queue,
		"Condition": map[string]any{"ArnEquals": map[string]any{"aws:SourceArn": rules}},
	}}})
	if err != nil {
		return "" // plain texts always marshal
	}
	return string(raw)
}
