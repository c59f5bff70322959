package apimodel

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// Partitions are AWS's separate clouds.
type Partitions struct{ list []partition }

type partition struct {
	id      string
	regex   *regexp.Regexp
	regions map[string]bool
	outputs map[string]any // what aws.partition answers
}

// ParsePartitions reads botocore's partitions.json.
func ParsePartitions(data []byte) (*Partitions, error) {
	var j struct {
		Partitions []struct {
			ID          string                     `json:"id"`
			Outputs     map[string]any             `json:"outputs"`
			RegionRegex string                     `json:"regionRegex"`
			Regions     map[string]json.RawMessage `json:"regions"`
		} `json:"partitions"`
	}
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, fmt.Errorf("read partitions: %w", err)
	}
	p := &Partitions{}
	for _, one := range j.Partitions {
		regex, err := regexp.Compile(one.RegionRegex)
		if err != nil {
			return nil, fmt.Errorf("read partition %s: %w", one.ID, err)
		}
		regions := make(map[string]bool, len(one.Regions))
		for name := range one.Regions {
			regions[name] = true
		}
		outputs := map[string]any{"name": one.ID}
		for name, v := range one.Outputs {
			if name != "name" {
				outputs[name] = v
			}
		}
		p.list = append(p.list, partition{id: one.ID, regex: regex, regions: regions, outputs: outputs})
	}
	return p, nil
}

// of finds the partition of a region, by name and by form; the first, which is
// the public one, has what no other has.
func (p *Partitions) of(region string) *partition {
	if p == nil || len(p.list) == 0 {
		return nil
	}
	for i := range p.list {
		if p.list[i].regions[region] || p.list[i].regex.MatchString(region) {
			return &p.list[i]
		}
	}
	return &p.list[0]
}

// Of gives the name of the partition that a region is in. A region that none
// knows is in "aws".
func (p *Partitions) Of(region string) string {
	if found := p.of(region); found != nil {
		return found.id
	}
	return ""
}

// HasHost reports whether a host is below one of the domains of a partition.
func (p *Partitions) HasHost(host string) bool {
	for i := range p.list {
		for _, name := range []string{"dnsSuffix", "dualStackDnsSuffix"} {
			if suffix, _ := p.list[i].outputs[name].(string); suffix != "" && strings.HasSuffix(host, "."+suffix) {
				return true
			}
		}
	}
	return false
}

// embeddedPartitions are those of the embedded models, which cannot change.
var embeddedPartitions = sync.OnceValues(func() (*Partitions, error) {
	c, err := Load()
	if err != nil {
		return nil, err
	}
	return c.Partitions()
})

// Partition gives the AWS partition of a region: "aws", "aws-cn".
func Partition(region string) string {
	p, err := embeddedPartitions()
	if err != nil {
		return "aws" // the build is broken, and every call will say so
	}
	return p.Of(region)
}

// HasRegion reports whether a partition has a Region by this name. One that is newer
// than the embedded models is not known.
func HasRegion(partition, region string) bool {
	p, err := embeddedPartitions()
	if err != nil || strings.HasSuffix(region, "-global") { // stands for services without Regions
		return false
	}
	for _, one := range p.list {
		if one.id == partition {
			return one.regions[region]
		}
	}
	return false
}
