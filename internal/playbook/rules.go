package playbook

import (
	"fmt"
	"strings"
)

// group gives the security group of an answer of DescribeSecurityGroups.
func group(doc map[string]any) (map[string]any, error) {
	groups := asList(doc["SecurityGroups"])
	if len(groups) != 1 {
		return nil, errNoGroup
	}
	g, _ := groups[0].(map[string]any)
	if g == nil {
		return nil, errNoGroup
	}
	return g, nil
}

// The address ranges that are everyone.
const (
	everyIPv4 = "0.0.0.0/0"
	everyIPv6 = "::/0"
)

// reaches reports whether a permission lets TCP traffic to a port through: its
// protocol is TCP and its range has the port, or it lets all traffic through.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
func reaches(permission map[string]any, to int64) bool {
	switch fmt.Sprint(permission["IpProtocol"]) {
	case "-1":
		return true
	case "tcp", "6":
	default:
		return false
	}
	from, low := whole(permission["FromPort"])
	until, high := whole(permission["ToPort"])
	if !low || !high {
		return true // without a range it is every port
	}
	return from == -1 || from <= to && to <= until
}

// everyone4and6 gives the ranges of a permission that are everyone's, without descriptions:
// EC2 finds a rule without them.
func everyone4and6(permission map[string]any) (v4, v6 []any) {
	for _, r := range asList(permission["IpRanges"]) {
		if m, _ := r.(map[string]any); m["CidrIp"] == everyIPv4 {
			v4 = append(v4, map[string]any{"CidrIp": everyIPv4})
		}
	}
	for _, r := range asList(permission["Ipv6Ranges"]) {
		if m, _ := r.(map[string]any); m["CidrIpv6"] == everyIPv6 {
			v6 = append(v6, map[string]any{"CidrIpv6": everyIPv6})
		}
	}
	return v4, v6
}

// openRules gives the inbound permissions through which everyone reaches the port With:
// only the ranges that are everyone's, so that what stands beside them stays.
func openRules(doc map[string]any, s Source) (any, error) {
	to, err := port(s.With)
	if err != nil {
		return nil, err
	}
	g, err := group(doc)
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, v := range asList(g["IpPermissions"]) {
		permission, _ := v.(map[string]any)
		v4, v6 := everyone4and6(permission)
		if !reaches(permission, to) || len(v4)+len(v6) == 0 {
			continue
		}
		open := traffic(permission)
		if len(v4) > 0 {
			open["IpRanges"] = v4
		}
		if len(v6) > 0 {
			open["Ipv6Ranges"] = v6
		}
		out = append(out, open)
	}
	return out, nil
}

// traffic copies what a permission says of protocol and ports.
func traffic(permission map[string]any) map[string]any {
	out := map[string]any{}
	for _, member := range []string{"IpProtocol", "FromPort", "ToPort"} {
		if v, ok := permission[member]; ok && v != nil {
			out[member] = v
		}
	}
	return out
}

// allRules gives every permission at the selector as EC2 takes it to revoke it.
func allRules(doc map[string]any, s Source) (any, error) {
	if _, err := group(doc); err != nil {
		return nil, err
	}
	v, _ := selected(doc, s.Selector)
	out := []any{}
	for _, one := range asList(v) {
		permission, _ := one.(map[string]any)
		rule := traffic(permission)
		for member, keep := range map[string][]string{
			"IpRanges": {"CidrIp"}, "Ipv6Ranges": {"CidrIpv6"}, "PrefixListIds": {"PrefixListId"}, "UserIdGroupPairs": {"GroupId", "UserId"},
		} {
			if list := trimmed(asList(permission[member]), keep); len(list) > 0 {
				rule[member] = list
			}
		}
		out = append(out, rule)
	}
	return out, nil
}

// trimmed copies structures with the members keep alone.
func trimmed(list []any, keep []string) []any {
	var out []any
	for _, v := range list {
		m, _ := v.(map[string]any)
		short := map[string]any{}
		for _, k := range keep {
			if v, ok := m[k]; ok && v != nil {
				short[k] = v
			}
		}
		out = append(out, short)
	}
	return out
}

// ruleDirections says in which directions a group has rules: none, inbound, outbound
// or both.
func ruleDirections(doc map[string]any) (string, error) {
	g, err := group(doc)
	if err != nil {
		return "", err
	}
	in, out := len(asList(g["IpPermissions"])) > 0, len(asList(g["IpPermissionsEgress"])) > 0
	switch {
	case in && out:
		return "both", nil
	case in:
		return "inbound", nil
	case out:
		return "outbound", nil
	}
	return "none", nil
}

// portNotOpen holds where no inbound rule lets everyone reach the port. Prefix lists
// are named, since what is in them is not looked at.
func portNotOpen(doc map[string]any, with string) (bool, string) {
	to, err := port(with)
	if err != nil {
		return false, err.Error()
	}
	g, err := group(doc)
	if err != nil {
		return false, err.Error()
	}
	var open, lists []string
	for _, v := range asList(g["IpPermissions"]) {
		permission, _ := v.(map[string]any)
		if !reaches(permission, to) {
			continue
		}
		v4, v6 := everyone4and6(permission)
		if len(v4) > 0 {
			open = append(open, trafficText(permission)+" from "+everyIPv4)
		}
		if len(v6) > 0 {
			open = append(open, trafficText(permission)+" from "+everyIPv6)
		}
		for _, p := range asList(permission["PrefixListIds"]) {
			m, _ := p.(map[string]any)
			lists = append(lists, trim(fmt.Sprint(m["PrefixListId"]), 60))
		}
	}
	detail := "nobody but named ranges reaches port " + with
	if len(open) > 0 {
		detail = "open to everyone: " + strings.Join(open, ", ")
	}
	if len(lists) > 0 {
		detail += "; not looked into and left as they are: the prefix lists " + strings.Join(lists, ", ")
	}
	return len(open) == 0, trim(detail, 500)
}

// trafficText names the traffic of a permission: "tcp 20-25", "all traffic".
func trafficText(permission map[string]any) string {
	protocol := trim(fmt.Sprint(permission["IpProtocol"]), 20)
	if protocol == "-1" {
		return "all traffic"
	}
	if protocol == "6" {
		protocol = "tcp"
	}
	from, low := whole(permission["FromPort"])
	until, high := whole(permission["ToPort"])
	switch {
	case !low || !high || from == -1:
		return protocol
	case from == until:
		return fmt.Sprintf("%s %d", protocol, from)
	}
	return fmt.Sprintf("%s %d-%d", protocol, from, until)
}
