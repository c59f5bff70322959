package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/parry-security/parry/internal/control"
)

// answer is what ListSecurityControlDefinitions answers, of which parameters are
// taken:
//
//	aws securityhub list-security-control-definitions > definitions.json
type answer struct {
	SecurityControlDefinitions []struct {
		SecurityControlID    string `json:"SecurityControlId"`
		ParameterDefinitions map[string]struct {
			ConfigurationOptions map[string]struct {
				DefaultValue  json.RawMessage `json:"DefaultValue"`
				Min           *float64        `json:"Min"`
				Max           *float64        `json:"Max"`
				MaxItems      int             `json:"MaxItems"`
				AllowedValues []string        `json:"AllowedValues"`
			} `json:"ConfigurationOptions"`
		} `json:"ParameterDefinitions"`
	} `json:"SecurityControlDefinitions"`
}

// readDefinitions takes the parameters of controls that the reference says are
// customizable. Where the answer leaves out what a page has told of the parameter
// of that name, that stays.
func (c catalog) readDefinitions(text string) error {
	var a answer
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return err
	}
	for _, v := range a.SecurityControlDefinitions {
		d := c[v.SecurityControlID]
		if d == nil || !d.Customizable || len(v.ParameterDefinitions) == 0 {
			continue
		}
		var list []control.Parameter
		for _, name := range slices.Sorted(maps.Keys(v.ParameterDefinitions)) {
			for kind, o := range v.ParameterDefinitions[name].ConfigurationOptions {
				p := control.Parameter{Name: name, Type: kind, Min: o.Min, Max: o.Max, Items: o.MaxItems, Allowed: o.AllowedValues}
				var err error
				if p.Default, err = plainValues(o.DefaultValue); err != nil {
					return fmt.Errorf("control %s, parameter %s: %w", d.ID, name, err)
				}
				list = append(list, p)
			}
		}
		for i, p := range list {
			at := slices.IndexFunc(d.Parameters, func(q control.Parameter) bool { return q.Name == p.Name && q.Type == p.Type })
			if at < 0 && len(list) == 1 && len(d.Parameters) == 1 && d.Parameters[0].Type == p.Type {
				at = 0 // the page calls it otherwise: requiredTagKeys, which is requiredKeyTags
			}
			if at < 0 {
				continue
			}
			q := d.Parameters[at]
			if p.Allowed == nil {
				list[i].Allowed = q.Allowed
			}
			if p.Items == 0 {
				list[i].Items = q.Items
			}
		}
		for _, p := range list {
			if err := p.Check(); err != nil {
				return fmt.Errorf("control %s: %w", d.ID, err)
			}
		}
		d.Parameters = list
	}
	return nil
}

// plainValues reads a value or a list of values.
func plainValues(raw json.RawMessage) ([]string, error) {
	if raw == nil || string(raw) == "null" {
		return nil, nil
	}
	var list []any
	if err := json.Unmarshal(raw, &list); err != nil {
		var one any
		if err := json.Unmarshal(raw, &one); err != nil {
			return nil, err
		}
		list = []any{one}
	}
	var out []string
	for _, v := range list {
		switch v.(type) {
		case string, float64, bool:
			out = append(out, fmt.Sprint(v))
		default:
			return nil, fmt.Errorf("the default %s is neither a value nor a list of them", raw)
		}
	}
	return out, nil
}
