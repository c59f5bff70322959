package apimodel

import (
	"fmt"
	"slices"
	"strings"
)

// filling is a value for a variable of an ARN. account and region are set where
// the value tells them.
type filling struct{ text, account, region string }

// fillings gives what the members of a path hold, in the form that ARNs have.
func (b *binder) fillings(prefix, paths string) []filling {
	var out []filling
	for path := range strings.SplitSeq(paths, "|") {
		path, form, _ := strings.Cut(path, "@")
		for _, v := range valuesAt(b.call.Input, path) {
			text, ok := v.(string)
			if !ok {
				text = fmt.Sprint(v)
			}
			if strings.HasPrefix(text, "arn:") && form == "" {
				// givenARNs has it, where it is of this type.
				if !slices.ContainsFunc(b.types, func(t string) bool { return arnPattern(t).MatchString(text) }) {
					b.unmatched = true
				}
				continue
			}
			out = append(out, b.formed(prefix, form, text)...)
		}
	}
	slices.SortFunc(out, func(x, y filling) int { return strings.Compare(x.text+x.account, y.text+y.account) })
	return slices.Compact(out)
}

// formed brings a member's value to the form that it has in an ARN. Nothing: the
// value does not name a resource of this kind.
func (b *binder) formed(prefix, form, text string) []filling {
	if text == Unknown {
		return []filling{{text: anything}}
	}
	switch form {
	case "path": // IAM's ARNs hold the path, which only the resource knows
		name := wild(strings.TrimPrefix(text, "/"))
		return []filling{{text: name}, {text: "*/" + name}}
	case "last":
		return []filling{{text: wild(lastWord(text))}}
	case "family":
		name := lastWord(text)
		name, _, _ = strings.Cut(name, ":")
		return []filling{{text: wild(name)}}
	case "key":
		return keyForm(text)
	case "alias":
		return []filling{{text: wild(strings.TrimPrefix(text, "alias/"))}}
	case "function":
		return functionForm(text, "function:")
	case "layer":
		return functionForm(text, "layer:")
	case "loggroup":
		return arnPart(strings.TrimSuffix(text, ":*"), "log-group:")
	case "secret":
		return secretForm(text)
	case "queue":
		return queueForm(text)
	case "subscription":
		parts := strings.Split(text, ":")
		if len(parts) < 7 {
			return nil // "PendingConfirmation"
		}
		return []filling{{text: wild(parts[5]), account: wild(parts[4]), region: wild(parts[3])}}
	case "parameter":
		return parameterForm(text)
	case "account", "ou", "root":
		return targetForm(form, text)
	case "copybucket", "copykey":
		return copyForm(form, text)
	}
	if slices.Contains(b.table.Lower, prefix) {
		text = strings.ToLower(text)
	}
	return []filling{{text: wild(text)}}
}

// wild writes a value into an ARN: what is not known becomes a wildcard, and
// characters that mean something in a policy are escaped, so that a value can
// never widen it.
func wild(text string) string {
	return strings.NewReplacer(Unknown, anything, "*", "${*}", "?", "${?}", "$", "${$}").Replace(text)
}

func lastWord(text string) string {
	if i := strings.LastIndex(text, "/"); i >= 0 {
		return text[i+1:]
	}
	if strings.HasPrefix(text, "arn:") {
		return text[strings.LastIndex(text, ":")+1:]
	}
	return text
}

// keyForm: a key is named by its id or ARN; behind an alias is a key that only
// AWS knows.
func keyForm(text string) []filling {
	if strings.Contains(text, "alias/") {
		return []filling{{text: anything}}
	}
	return arnPart(text, "key/")
}

// arnPart takes what follows a word in an ARN; other text is the name itself.
func arnPart(text, word string) []filling {
	parts := strings.SplitN(text, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return []filling{{text: wild(text)}}
	}
	name, ok := strings.CutPrefix(parts[5], word)
	if !ok {
		return nil
	}
	return []filling{{text: wild(name), account: wild(parts[4]), region: wild(parts[3])}}
}

// functionForm reads Lambda's names: name, name:qualifier, account:function:name,
// ARN with or without a qualifier.
func functionForm(text, word string) []filling {
	f := filling{}
	if parts := strings.SplitN(text, ":", 6); len(parts) == 6 && parts[0] == "arn" {
		f.region, f.account, text = wild(parts[3]), wild(parts[4]), parts[5]
	} else if at := strings.Index(text, ":"+word); at >= 0 {
		f.account, text = wild(text[:at]), text[at+1:]
	}
	text = strings.TrimPrefix(text, word)
	text, _, _ = strings.Cut(text, ":")
	f.text = wild(text)
	return []filling{f}
}

// secretForm: the ARN of a secret ends in six characters that its name does not
// have.
func secretForm(text string) []filling {
	list := arnPart(text, "secret:")
	var out []filling
	for _, f := range list {
		if strings.HasPrefix(text, "arn:") {
			out = append(out, f) // whole, or without its last seven characters
		}
		f.text += "-??????"
		out = append(out, f)
	}
	return out
}

func queueForm(text string) []filling {
	parts := strings.Split(strings.TrimRight(text, "/"), "/")
	if len(parts) < 2 {
		return []filling{{text: wild(text)}}
	}
	f := filling{text: wild(parts[len(parts)-1])}
	if owner := parts[len(parts)-2]; len(owner) == 12 && strings.Trim(owner, "0123456789") == "" {
		f.account = owner
	}
	return []filling{f}
}

// parameterForm: in ARNs a parameter has no leading slash and no version.
func parameterForm(text string) []filling {
	list := arnPart(text, "parameter/")
	for i := range list {
		name, _, _ := strings.Cut(strings.TrimPrefix(list[i].text, "/"), ":")
		list[i].text = name
	}
	return list
}

// targetForm tells what an Organizations target is by the shape of its id.
func targetForm(form, text string) []filling {
	is := "account"
	switch {
	case strings.Contains(text, Unknown):
		is = form
		text = Unknown
	case strings.HasPrefix(text, "ou-"):
		is = "ou"
	case strings.HasPrefix(text, "r-"):
		is = "root"
	}
	if is != form {
		return nil
	}
	return []filling{{text: wild(text)}}
}

// copyForm reads S3's CopySource: "bucket/key?versionId=..." .
func copyForm(form, text string) []filling {
	text, _, _ = strings.Cut(strings.TrimPrefix(text, "/"), "?versionId=")
	bucket, key, _ := strings.Cut(text, "/")
	if form == "copybucket" {
		return []filling{{text: wild(bucket)}}
	}
	if strings.Contains(key, "%") {
		return []filling{{text: anything}} // encoded: what it stands for is not our guess
	}
	return []filling{{text: wild(key)}}
}

// valuesAt gives what is at a dotted path, lists taken apart. Names are found in
// any spelling that boto3 or Systems Manager takes.
func valuesAt(input any, path string) []any {
	name, rest, deeper := strings.Cut(path, ".")
	switch v := input.(type) {
	case string:
		if v == Unknown {
			return []any{Unknown}
		}
	case []any:
		var out []any
		for _, x := range v {
			out = append(out, valuesAt(x, path)...)
		}
		return out
	case map[string]any:
		x, ok := v[name]
		if !ok {
			folded := foldName(name)
			for k, candidate := range v {
				if foldName(k) == folded {
					x, ok = candidate, true
				}
			}
		}
		switch {
		case !ok || x == nil:
			return nil
		case deeper:
			return valuesAt(x, rest)
		}
		return leaves(x, 1)
	}
	return nil
}

// leaves takes lists apart, depth levels deep.
func leaves(v any, depth int) []any {
	list, ok := v.([]any)
	if !ok {
		if texts, ok := v.([]string); ok {
			for _, t := range texts {
				list = append(list, t)
			}
			return list
		}
		return []any{v}
	}
	if depth == 0 {
		return nil
	}
	var out []any
	for _, x := range list {
		out = append(out, leaves(x, depth-1)...)
	}
	return out
}
