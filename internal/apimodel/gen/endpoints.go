package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
)

// dictionarySize is how many of the commonest forms of rule sets the archive's
// dictionary holds. More make the archive no smaller.
const dictionarySize = 12

// readRules reads an endpoint rule set, without its documentation; nil where
// there is none.
func readRules(file string) ([]byte, error) {
	var raw json.RawMessage
	if err := decodeGzip(file, &raw); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("read endpoint rules: %w", err)
	}
	return apimodel.StripRuleSet(raw)
}

// readPartitions reads AWS's partitions, without the names that people give to
// regions.
func readPartitions(file string) (json.RawMessage, error) {
	var j struct {
		Partitions []struct {
			ID          string              `json:"id"`
			Outputs     map[string]any      `json:"outputs"`
			RegionRegex string              `json:"regionRegex"`
			Regions     map[string]struct{} `json:"regions"`
		} `json:"partitions"`
	}
	text, err := os.ReadFile(file) //nolint:gosec // a path that the developer names
	if err == nil {
		err = json.Unmarshal(text, &j)
	}
	if err != nil {
		return nil, fmt.Errorf("read partitions: %w", err)
	}
	return json.Marshal(j)
}

// dictionary is one rule set of each of the commonest forms, the commonest last,
// where a compressor finds it cheapest. Two have the same form when they differ
// in the service's names only.
func dictionary(services []apimodel.Packed) []byte {
	type form struct {
		text  []byte
		count int
	}
	forms := map[string]*form{}
	for _, p := range services {
		key := strings.NewReplacer(p.Service.EndpointPrefix, "@", p.Service.Name, "@").Replace(string(p.Rules))
		if forms[key] == nil {
			forms[key] = &form{text: p.Rules}
		}
		forms[key].count++
	}
	sorted := make([]*form, 0, len(forms))
	for _, f := range forms {
		sorted = append(sorted, f)
	}
	sort.Slice(sorted, func(i, j int) bool {
		a, b := sorted[i], sorted[j]
		if a.count != b.count {
			return a.count < b.count
		}
		return string(a.text) < string(b.text)
	})
	var out []byte
	for _, f := range sorted[max(0, len(sorted)-dictionarySize):] {
		out = append(out, f.text...)
	}
	return out
}

// scopes are what requests are signed for by botocore's older table of
// endpoints. botocore asks it where the rule sets are silent.
type scopes struct {
	Partitions []struct {
		Partition string `json:"partition"`
		Services  map[string]struct {
			PartitionEndpoint string                `json:"partitionEndpoint"`
			IsRegionalized    *bool                 `json:"isRegionalized"`
			Defaults          scopedJSON            `json:"defaults"`
			Endpoints         map[string]scopedJSON `json:"endpoints"`
		} `json:"services"`
	} `json:"partitions"`
}

type scopedJSON struct {
	CredentialScope struct {
		Region  string `json:"region"`
		Service string `json:"service"`
	} `json:"credentialScope"`
}

func readScopes(file string) (*scopes, error) {
	s := &scopes{}
	return s, readJSON(file, s)
}

// of lists the partitions in which a service signs for other than the region of
// the call and the name in its model.
func (s *scopes) of(service *apimodel.Service) (out []apimodel.Scope) {
	for _, p := range s.Partitions {
		in, ok := p.Services[service.EndpointPrefix]
		if !ok {
			continue
		}
		scope := apimodel.Scope{Partition: p.Partition, SigningName: in.Defaults.CredentialScope.Service}
		if in.PartitionEndpoint != "" && in.IsRegionalized != nil && !*in.IsRegionalized {
			global := in.Endpoints[in.PartitionEndpoint].CredentialScope
			scope.Region = global.Region
			if global.Service != "" {
				scope.SigningName = global.Service
			}
		}
		if scope.SigningName == service.SigningName {
			scope.SigningName = ""
		}
		if scope.Region != "" || scope.SigningName != "" {
			out = append(out, scope)
		}
	}
	return out
}
