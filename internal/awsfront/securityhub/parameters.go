package securityhub

import "github.com/parry-security/parry/internal/control"

// parameterDefinition says what a parameter of a control may be.
//
// https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_ParameterDefinition.html
type parameterDefinition struct {
	Description string `json:"Description"`
	// ConfigurationOptions has one member: the parameter's type.
	ConfigurationOptions map[string]configurationOptions `json:"ConfigurationOptions"`
}

// configurationOptions has the members of all types; each has some of them.
type configurationOptions struct {
	DefaultValue  any      `json:"DefaultValue,omitempty"`
	Min           *float64 `json:"Min,omitempty"`
	Max           *float64 `json:"Max,omitempty"`
	MaxItems      int      `json:"MaxItems,omitempty"`
	AllowedValues []string `json:"AllowedValues,omitempty"`
}

func parameterDefinitions(list []control.Parameter) map[string]parameterDefinition {
	out := make(map[string]parameterDefinition, len(list))
	for _, p := range list {
		out[p.Name] = parameterDefinition{p.Words(), map[string]configurationOptions{
			p.Type: {DefaultValue: p.DefaultValue(), Min: p.Min, Max: p.Max, MaxItems: p.Items, AllowedValues: p.Allowed},
		}}
	}
	return out
}

// parameterValue is what a parameter is set to. One without a default has no
// value: the check passes over it.
//
// https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_ParameterConfiguration.html
type parameterValue struct {
	ValueType string         `json:"ValueType"`
	Value     map[string]any `json:"Value,omitempty"`
}

func parameterDefaults(list []control.Parameter) map[string]parameterValue {
	out := make(map[string]parameterValue, len(list))
	for _, p := range list {
		v := parameterValue{ValueType: "DEFAULT"}
		if value := p.DefaultValue(); value != nil {
			v.Value = map[string]any{p.Type: value}
		}
		out[p.Name] = v
	}
	return out
}
