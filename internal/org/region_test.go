package org_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/org"
)

func TestRegionsOfAnAccount(t *testing.T) {
	t.Parallel()
	for region, want := range map[string]bool{
		"us-east-1": true, "ap-northeast-3": true, "cn-north-1": true, "us-gov-east-1": true,
		"eu-south-1": false, "af-south-1": false, "ap-southeast-3": false, "eusc-de-east-1": false, "": false,
	} {
		if org.AlwaysOn(region) != want {
			t.Errorf("%q is always on: %t", region, !want)
		}
	}
	for home, want := range map[string]string{"eu-west-1": "eu-west-1", "eu-south-1": "us-east-1", "cn-north-1": "cn-north-1", "us-gov-west-1": "us-gov-west-1", "": ""} {
		if c := org.RegionsCall("111122223333", home); c.Region != want || c.Account != "111122223333" || c.Input["AllRegions"] != true {
			t.Errorf("from %q it is asked in %+v", home, c)
		}
	}
	one := func(name, status string) any { return map[string]any{"RegionName": name, "OptInStatus": status} }
	got := org.RegionsOf(map[string]any{"Regions": []any{one("a", "opt-in-not-required"), one("b", "opted-in"), one("c", "not-opted-in"), one("d", "what comes next"), "e"}})
	if diff := cmp.Diff(map[string]bool{"a": true, "b": true, "c": false}, got); diff != "" {
		t.Error(diff)
	}
}

// TestJudgeARegion: by what the account says of it, what it said before, and the role.
func TestJudgeARegion(t *testing.T) {
	t.Parallel()
	const optIn = "eu-south-1"
	var silent org.Regions
	on, off := org.Regions{On: map[string]bool{optIn: true}}, org.Regions{On: map[string]bool{optIn: false, "us-east-1": false}}
	refused, strange := org.Regions{Refused: "no"}, org.Regions{On: map[string]bool{"us-east-1": true}}
	ok := func(r *org.Regions) org.Attempt { return org.Attempt{Reach: org.ReachOK, Regions: r} }
	was := func(s org.CoverageState, r org.Reach) org.Coverage {
		return org.Coverage{State: s, Reason: r, Since: time.Unix(1, 0)}
	}
	covered, wasOff := was(org.Covered, org.ReachOK), was(org.Off, org.ReachOff)
	broken := []org.Feed{{Name: "hub", Covers: func(string) bool { return true }, Problem: "it fails"}}
	for name, c := range map[string]struct {
		was    org.Coverage
		region string
		try    org.Attempt
		feeds  []org.Feed
		want   string
	}{
		"on":                               {region: optIn, try: ok(&on), want: "covered ok"},
		"off":                              {region: optIn, try: ok(&off), want: "off region_off"},
		"off, and a source fails":          {region: optIn, try: ok(&off), feeds: broken, want: "off region_off"},
		"turned off":                       {was: covered, region: optIn, try: ok(&off), want: "off region_off"},
		"turned on":                        {was: wasOff, region: optIn, try: ok(&on), want: "covered ok"},
		"one that cannot be off":           {region: "us-east-1", try: ok(&off), want: "covered ok"},
		"not asked":                        {region: optIn, try: ok(nil), want: "covered ok"},
		"it may not be asked":              {was: covered, region: optIn, try: ok(&refused), want: "degraded regions"},
		"it may no longer be asked":        {was: wasOff, region: optIn, try: ok(&refused), want: "degraded regions"},
		"not asked, and a source fails":    {region: optIn, try: ok(&refused), feeds: broken, want: "degraded source"},
		"a name that AWS does not know":    {region: optIn, try: ok(&strange), want: "degraded regions"},
		"no answer at first":               {region: optIn, try: ok(&silent), want: "degraded regions"},
		"no answer again":                  {was: was(org.Degraded, org.ReachRegions), region: optIn, try: ok(&silent), want: "degraded regions"},
		"no answer, and it was covered":    {was: covered, region: optIn, try: ok(&silent), want: "covered ok"},
		"no answer, and it was off":        {was: wasOff, region: optIn, try: ok(&silent), want: "off region_off"},
		"no answer, and the role was lost": {was: was(org.Lost, org.ReachRole), region: optIn, try: ok(&silent), want: "degraded regions"},
		"the role is lost":                 {was: wasOff, region: optIn, try: org.Attempt{Reach: org.ReachRole}, want: "lost role"},
		"the role does not answer":         {was: wasOff, region: optIn, try: org.Attempt{Reach: org.ReachUnknown}, want: "off region_off"},
	} {
		now := time.Unix(100, 0)
		got := org.Judge(c.was, org.Account{ID: "111122223333"}, c.region, c.try, c.feeds, func(string) time.Time { return now }, now, now)
		if text := string(got.State) + " " + string(got.Reason); text != c.want {
			t.Errorf("%s: %s (%s)", name, text, got.Detail)
		}
		if got.Reason == org.ReachRegions && (got.Detail == "" || got.Next == "") {
			t.Errorf("%s: %+v says neither why nor what to do", name, got)
		}
		if moved := got.Since.After(c.was.Since); moved != (got.State != c.was.State) {
			t.Errorf("%s: since %s", name, got.Since)
		}
	}
	if !org.Lost.Worse(org.Never) || !org.Degraded.Worse(org.Covered) || !org.Covered.Worse(org.Off) || org.Off.Worse(org.Off) {
		t.Error("the order of the states")
	}
}
