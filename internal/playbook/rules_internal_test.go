package playbook

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type m = map[string]any

func groupOf(permissions ...any) m {
	return m{"SecurityGroups": []any{m{"GroupId": "sg-1", "GroupName": "web", "IpPermissions": permissions, "IpPermissionsEgress": []any{}}}}
}

func tcp(from, to int64, more m) m {
	out := m{"IpProtocol": "tcp", "FromPort": from, "ToPort": to}
	for k, v := range more {
		out[k] = v
	}
	return out
}

var (
	everyone4 = m{"IpRanges": []any{m{"CidrIp": "0.0.0.0/0", "Description": "all"}}}
	everyone6 = m{"Ipv6Ranges": []any{m{"CidrIpv6": "::/0"}}}
	only4     = []any{m{"CidrIp": "0.0.0.0/0"}}
)

func TestOpenRules(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		permission m
		want       []any
	}{
		"the port":            {tcp(22, 22, everyone4), []any{tcp(22, 22, m{"IpRanges": only4})}},
		"a range that has it": {tcp(20, 25, everyone4), []any{tcp(20, 25, m{"IpRanges": only4})}},
		"every port":          {tcp(0, 65535, everyone6), []any{tcp(0, 65535, everyone6)}},
		"all traffic":         {m{"IpProtocol": "-1", "IpRanges": everyone4["IpRanges"]}, []any{m{"IpProtocol": "-1", "IpRanges": only4}}},
		"TCP by its number":   {m{"IpProtocol": "6", "FromPort": int64(22), "ToPort": int64(22), "IpRanges": everyone4["IpRanges"]}, []any{m{"IpProtocol": "6", "FromPort": int64(22), "ToPort": int64(22), "IpRanges": only4}}},
		"numbers from JSON":   {m{"IpProtocol": "tcp", "FromPort": 22.0, "ToPort": 22.0, "IpRanges": everyone4["IpRanges"]}, []any{m{"IpProtocol": "tcp", "FromPort": 22.0, "ToPort": 22.0, "IpRanges": only4}}},
		"both versions of IP": {tcp(22, 22, m{"IpRanges": everyone4["IpRanges"], "Ipv6Ranges": everyone6["Ipv6Ranges"]}), []any{tcp(22, 22, m{"IpRanges": only4, "Ipv6Ranges": everyone6["Ipv6Ranges"]})}},
		"a neighbour stays": {
			tcp(22, 22, m{"IpRanges": []any{m{"CidrIp": "10.0.0.0/8"}, m{"CidrIp": "0.0.0.0/0"}}, "UserIdGroupPairs": []any{m{"GroupId": "sg-2"}}}),
			[]any{tcp(22, 22, m{"IpRanges": only4})},
		},
		"another port":       {tcp(443, 443, everyone4), nil},
		"a range beside it":  {tcp(23, 65535, everyone4), nil},
		"UDP":                {m{"IpProtocol": "udp", "FromPort": int64(22), "ToPort": int64(22), "IpRanges": everyone4["IpRanges"]}, nil},
		"ICMP":               {m{"IpProtocol": "icmp", "FromPort": int64(-1), "ToPort": int64(-1), "IpRanges": everyone4["IpRanges"]}, nil},
		"a named range":      {tcp(22, 22, m{"IpRanges": []any{m{"CidrIp": "192.0.2.0/24"}}}), nil},
		"half of everything": {tcp(22, 22, m{"IpRanges": []any{m{"CidrIp": "0.0.0.0/1"}}}), nil},
		"a prefix list":      {tcp(22, 22, m{"PrefixListIds": []any{m{"PrefixListId": "pl-1"}}}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc := groupOf(c.permission)
			got, err := openRules(doc, Source{With: "22"})
			if err != nil {
				t.Fatal(err)
			}
			want := c.want
			if want == nil {
				want = []any{}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			if ok, detail := portNotOpen(doc, "22"); ok != (c.want == nil) {
				t.Errorf("the check says %v: %s", ok, detail)
			}
		})
	}
	for _, doc := range []m{{}, {"SecurityGroups": []any{}}, {"SecurityGroups": []any{m{}, m{}}}} {
		if _, err := openRules(doc, Source{With: "22"}); err == nil {
			t.Errorf("%v gave no error", doc)
		}
		if ok, _ := portNotOpen(doc, "22"); ok {
			t.Errorf("%v passes", doc)
		}
	}
	if _, err := openRules(groupOf(), Source{With: "65536"}); err == nil {
		t.Error("port 65536 is one")
	}
}

func TestPrefixListsAreNamed(t *testing.T) {
	t.Parallel()
	ok, detail := portNotOpen(groupOf(tcp(22, 22, m{"PrefixListIds": []any{m{"PrefixListId": "pl-1"}}})), "22")
	if !ok || !strings.Contains(detail, "not looked into and left as they are: the prefix lists pl-1") {
		t.Errorf("%v, %s", ok, detail)
	}
}

func TestAllRules(t *testing.T) {
	t.Parallel()
	doc := groupOf(
		m{"IpProtocol": "-1", "IpRanges": []any{}, "UserIdGroupPairs": []any{m{"GroupId": "sg-1", "UserId": "111122223333", "Description": "self", "PeeringStatus": "active"}}},
		tcp(22, 22, m{"PrefixListIds": []any{m{"PrefixListId": "pl-1", "Description": "office"}}}),
	)
	got, err := allRules(doc, Source{Selector: "$.SecurityGroups[0].IpPermissions"})
	want := []any{
		m{"IpProtocol": "-1", "UserIdGroupPairs": []any{m{"GroupId": "sg-1", "UserId": "111122223333"}}},
		tcp(22, 22, m{"PrefixListIds": []any{m{"PrefixListId": "pl-1"}}}),
	}
	if diff := cmp.Diff(any(want), got); err != nil || diff != "" {
		t.Errorf("%v, rules (-want +got):\n%s", err, diff)
	}
	for _, c := range []struct {
		in, out []any
		want    string
	}{{nil, nil, "none"}, {want, nil, "inbound"}, {nil, want, "outbound"}, {want, want, "both"}} {
		got, err := ruleDirections(m{"SecurityGroups": []any{m{"IpPermissions": c.in, "IpPermissionsEgress": c.out}}})
		if err != nil || got != c.want {
			t.Errorf("%q, %v, want %s", got, err, c.want)
		}
	}
}

func TestPasswordPolicyKeepsWhatIsStricter(t *testing.T) {
	t.Parallel()
	doc := m{"PasswordPolicy": m{"MinimumPasswordLength": int64(14), "MaxPasswordAge": int64(60)}}
	length := Source{Selector: "$.PasswordPolicy.MinimumPasswordLength", With: "8"}
	for _, c := range []struct {
		doc  m
		want int64
	}{{doc, 14}, {m{"PasswordPolicy": m{"MinimumPasswordLength": int64(6)}}, 8}, {m{}, 8}} {
		if got, err := atLeast(c.doc, length); err != nil || got != c.want {
			t.Errorf("%v, %v, want %d", got, err, c.want)
		}
	}
	for _, c := range []struct {
		doc  m
		want string
	}{
		{doc, "age"},
		{m{}, "none"},
		{m{"PasswordPolicy": m{"MaxPasswordAge": int64(0)}}, "none"},
		{m{"PasswordPolicy": m{"PasswordReusePrevention": int64(5)}}, "reuse"},
		{m{"PasswordPolicy": m{"PasswordReusePrevention": int64(5), "MaxPasswordAge": int64(5)}}, "both"},
	} {
		if got, err := passwordLimits(c.doc); err != nil || got != c.want {
			t.Errorf("%v, %v, want %s", got, err, c.want)
		}
	}
	if got, _ := current(doc, Source{Selector: "$.PasswordPolicy.MaxPasswordAge", With: "90"}); got != int64(60) {
		t.Errorf("%v", got)
	}
	if got, _ := current(doc, Source{Selector: "$.PasswordPolicy.HardExpiry", With: "false"}); got != "false" {
		t.Errorf("%v", got)
	}
}

func TestKeyCanRotate(t *testing.T) {
	t.Parallel()
	key := func(change m) m {
		out := m{"KeyManager": "CUSTOMER", "KeyState": "Enabled", "KeySpec": "SYMMETRIC_DEFAULT", "Origin": "AWS_KMS"}
		for k, v := range change {
			out[k] = v
		}
		return m{"KeyMetadata": out}
	}
	for name, c := range map[string]struct {
		doc m
		ok  bool
	}{
		"a customer's":      {key(nil), true},
		"AWS's":             {key(m{"KeyManager": "AWS"}), false},
		"disabled":          {key(m{"KeyState": "Disabled"}), false},
		"to be deleted":     {key(m{"KeyState": "PendingDeletion"}), false},
		"asymmetric":        {key(m{"KeySpec": "RSA_2048"}), false},
		"imported material": {key(m{"Origin": "EXTERNAL"}), false},
		"custom key store":  {key(m{"Origin": "AWS_CLOUDHSM"}), false},
		"a primary":         {key(m{"MultiRegionConfiguration": m{"MultiRegionKeyType": "PRIMARY"}}), true},
		"a replica":         {key(m{"MultiRegionConfiguration": m{"MultiRegionKeyType": "REPLICA"}}), false},
		"none":              {m{}, false},
	} {
		if ok, detail := keyCanRotate(c.doc); ok != c.ok {
			t.Errorf("%s: %v, %s", name, ok, detail)
		}
	}
}
