package playbook

import (
	"errors"
	"fmt"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// The values of Sweep.Per.
const (
	PerRegion  = "region"
	PerAccount = "account"
)

// Place is where resources are looked for.
type Place struct {
	Partition, Account, Region string
}

// Candidate is a resource that a control may be about.
type Candidate struct {
	Resource Resource
	// Known is what the listing already showed of it.
	Known Readings
}

// Self gives the account itself as the resource: of a playbook whose Sweep lists none.
func (p Playbook) Self(at Place) Candidate {
	return Candidate{Resource: Resource{Type: p.Resource, ARN: accountPrefix + at.Account, Name: at.Account, Account: at.Account, Region: at.Region}}
}

// Call gives the listing at a place as an API call: its first page.
func (l List) Call(at Place) (apimodel.Call, error) {
	input, err := Resource{Account: at.Account, Region: at.Region}.input(l.Input)
	if err != nil {
		return apimodel.Call{}, fault.E(fault.Invalid, "build listing", err)
	}
	return apimodel.Call{Service: l.Service, Operation: l.Operation, Account: at.Account, Region: at.Region, Input: input}, nil
}

// Candidates gives the resources on one page of the listing.
func (p Playbook) Candidates(page map[string]any, at Place) ([]Candidate, error) {
	l := p.Sweep.List
	items := asList(page[l.Items])
	out := make([]Candidate, 0, len(items))
	for i, v := range items {
		item, ok := v.(map[string]any)
		if !ok {
			return nil, fault.Errorf(fault.Internal, "read listing", "%s[%d] is not a structure", l.Items, i)
		}
		if own, _ := item[l.Region].(string); l.Region != "" && own != "" && own != at.Region {
			continue
		}
		arn, err := l.arn(item, at)
		if err != nil {
			return nil, fault.E(fault.Internal, fmt.Sprintf("read listing, %s[%d]", l.Items, i), err)
		}
		r, err := NewResource(p.Resource, arn, at.Account, at.Region)
		if err != nil {
			return nil, err
		}
		c := Candidate{Resource: r}
		if l.As != "" {
			c.Known = Readings{l.As: {l.Items: []any{item}}}
		}
		out = append(out, c)
	}
	return out, nil
}

// arn fills the template of a resource's ARN.
func (l List) arn(item map[string]any, at Place) (string, error) {
	var out strings.Builder
	rest := l.ARN
	for {
		text, after, more := strings.Cut(rest, "{")
		out.WriteString(text)
		if !more {
			return out.String(), nil
		}
		name, next, closed := strings.Cut(after, "}")
		if !closed {
			return "", errors.New("arn has a { without a }")
		}
		rest = next
		switch name {
		case "partition":
			out.WriteString(at.Partition)
		case "region":
			out.WriteString(at.Region)
		case "account":
			out.WriteString(at.Account)
		default:
			v, _ := item[name].(string)
			if v == "" {
				return "", fmt.Errorf("the item has no text %s", trim(name, 60))
			}
			out.WriteString(v)
		}
	}
}

// checkSweep checks how resources are found.
func (p Playbook) checkSweep() error {
	s := p.Sweep
	switch {
	case s == nil:
		return nil
	case s.Per != PerRegion && s.Per != PerAccount:
		return fmt.Errorf("sweep.per %q is not region or account", s.Per)
	case s.List == nil && p.Resource != "AwsAccount":
		return fmt.Errorf("sweep.list is missing: only an AwsAccount needs no listing, this is about %s", p.Resource)
	case s.List == nil:
		return nil
	}
	l := s.List
	if l.Service == "" || l.Operation == "" || l.Items == "" || l.ARN == "" {
		return errors.New("sweep.list needs service, operation, items and arn")
	}
	if l.As != "" && !p.hasRead(l.As) {
		return fmt.Errorf("sweep.list.as %q names no read", l.As)
	}
	if _, err := (Resource{}).input(l.Input); err != nil {
		return fmt.Errorf("sweep.list.input: %w", err)
	}
	if strings.Count(l.ARN, "{") != strings.Count(l.ARN, "}") {
		return errors.New("sweep.list.arn has a { without a }")
	}
	return nil
}
