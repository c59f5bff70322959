package apimodel

import (
	"maps"
	"slices"
	"strings"
)

// condition ties an action to values of the input.
func (b *binder) condition(r actionRule) Condition {
	var out Condition
	for _, key := range slices.Sorted(maps.Keys(r.Where)) {
		var values textList
		operator := "StringEquals"
		for _, v := range valuesAt(b.call.Input, r.Where[key]) {
			text, ok := v.(string)
			if !ok || text == Unknown {
				return out // nothing is known: no tie
			}
			if strings.Contains(text, Unknown) {
				operator = "StringLike"
			}
			values = append(values, wild(text))
		}
		if len(values) == 0 {
			continue
		}
		if strings.HasSuffix(key, "ARN") {
			operator = "ArnLike"
		}
		slices.Sort(values)
		out = out.with(operator, key, values)
	}
	// A key behind a service is used in its name only.
	if r.Action == "kms:Decrypt" && b.service.Name == "ssm" {
		out = out.with("StringLike", "kms:ViaService", textList{"ssm." + orAny(b.call.Region) + ".amazonaws.com*"})
	}
	return out
}

func (c Condition) with(operator, key string, values textList) Condition {
	if c == nil {
		c = Condition{}
	}
	if c[operator] == nil {
		c[operator] = map[string]textList{}
	}
	c[operator][key] = values
	return c
}

// regional keeps what cannot be narrowed to a resource to the region of the
// call. Services that answer from elsewhere are left out.
func (b *binder) regional(g Grant) Grant {
	prefix, _, _ := strings.Cut(g.Action, ":")
	region := b.call.Region
	if region == "" || strings.Contains(region, Unknown) || len(g.Resources) != 1 || g.Resources[0] != anything ||
		slices.Contains(b.table.Global, prefix) || b.service.GlobalEndpoint != "" {
		return g
	}
	g.Condition = g.Condition.with("StringEquals", "aws:RequestedRegion", textList{region})
	return g
}

// besides gives what AWS asks for together with an action because of what the
// input says: a role that is handed on, tags on what is made, the role that a
// service makes for itself when it is used for the first time.
func (b *binder) besides(g Grant) []Grant {
	if b.class != Change {
		return nil
	}
	prefix, _, _ := strings.Cut(g.Action, ":")
	_, fact := factOf(g.Action)
	var out []Grant
	if prefix != "iam" && prefix != "sts" {
		if roles := b.passedRoles(fact); len(roles) > 0 {
			out = append(out, Grant{Action: "iam:PassRole", Resources: roles})
		}
	}
	// Where something is merely altered, the service's own role is there already.
	if fact != nil && (b.creates() || verb(b.op.Name) == "Enable") && slices.Contains(fact.Besides, "iam:CreateServiceLinkedRole") {
		out = append(out, Grant{
			Action:    "iam:CreateServiceLinkedRole",
			Resources: []string{"arn:" + Partition(b.call.Region) + ":iam::" + orAny(b.call.Account) + ":role/aws-service-role/*"},
		})
	}
	return append(out, b.tagging(g, prefix, fact)...)
}

// passedRoles gives the roles that the input hands to a service.
func (b *binder) passedRoles(fact *actionFact) []string {
	expected := fact != nil && slices.Contains(fact.Besides, "iam:PassRole")
	var out []string
	var walk func(name string, v any, depth int)
	walk = func(name string, v any, depth int) {
		if depth > 32 {
			return
		}
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				walk(k, x, depth+1)
			}
		case []any:
			for _, x := range v {
				walk(name, x, depth+1)
			}
		case string:
			if !namesRole(name) {
				return
			}
			parts := strings.SplitN(v, ":", 6)
			switch {
			case len(parts) == 6 && parts[0] == "arn" && parts[2] == "iam" && strings.HasPrefix(parts[5], "role/"):
				out = append(out, wild(v))
			case strings.Contains(v, Unknown), expected && v != "" && !strings.Contains(v, ":"):
				out = append(out, b.wildcard("iam", "arn:${Partition}:iam::${Account}:role/${Name}"))
			}
		}
	}
	walk("", b.call.Input, 0)
	if len(out) == 0 {
		return nil
	}
	return broadest(out)
}

func namesRole(member string) bool {
	folded := foldName(member)
	return strings.HasSuffix(folded, "role") || strings.HasSuffix(folded, "rolearn") || strings.HasSuffix(folded, "rolearns")
}

// tagMembers are the members that put tags on what an operation makes.
var tagMembers = []string{"Tags", "TagSpecifications", "TagSpecification", "TagList", "TagSet", "Tagging"}

// tagging gives the permission to tag what is being made.
func (b *binder) tagging(g Grant, prefix string, fact *actionFact) []Grant {
	given := ""
	for _, m := range tagMembers {
		if len(valuesAt(b.call.Input, m)) > 0 {
			given = m
		}
	}
	if given == "" || !b.creates() {
		return nil
	}
	if prefix == "ec2" {
		return []Grant{{Action: "ec2:CreateTags", Resources: b.taggedTypes(given), Condition: Condition{}.with("StringEquals", "ec2:CreateAction", textList{b.op.Name})}}
	}
	var out []Grant
	if fact != nil {
		for _, action := range fact.Besides {
			if own, _, _ := strings.Cut(action, ":"); own == prefix && !strings.HasSuffix(action, ":PassRole") {
				out = append(out, b.regional(Grant{Action: action, Resources: g.Resources}))
			}
		}
	}
	if len(out) == 0 && knownAction(prefix, "TagResource") {
		out = append(out, b.regional(Grant{Action: prefix + ":TagResource", Resources: g.Resources}))
	}
	return out
}

// taggedTypes gives the ARNs of what EC2 tags while it makes it.
func (b *binder) taggedTypes(member string) []string {
	var out []string
	for _, t := range valuesAt(b.call.Input, member+".ResourceType") {
		if text, ok := t.(string); ok {
			out = append(out, b.wildcard("ec2", "arn:${Partition}:ec2:${Region}:${Account}:"+wild(text)+"/${Id}"))
		}
	}
	if len(out) == 0 {
		return []string{anything}
	}
	return broadest(out)
}
