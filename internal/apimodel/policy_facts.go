package apimodel

import (
	_ "embed"
	"strings"
	"sync"
)

// authorization is AWS's Service Authorization Reference without its prose: see
// geniam.
//
//go:embed authorization.txt
var authorization string

// facts are what the reference says about one service prefix.
type facts struct {
	types   map[string]string      // resource type -> ARN with ${Variables}
	actions map[string]*actionFact // by lower-case name
}

type actionFact struct {
	Name    string
	Types   []typeUse
	Besides []string // actions that the caller may need besides
}

type typeUse struct {
	Name     string
	Required bool
}

// factIndex finds the prefixes in the text; a prefix is read when it is asked for.
var factIndex = sync.OnceValue(func() map[string]func() *facts {
	out := map[string]func() *facts{}
	for section := range strings.SplitSeq(authorization, "\nservice ") {
		prefix, body, ok := strings.Cut(section, "\n")
		if ok && !strings.HasPrefix(section, "#") {
			out[prefix] = sync.OnceValue(func() *facts { return readFacts(body) })
		}
	}
	return out
})

// factsOf gives what is known about a prefix, nil for one that IAM does not have.
func factsOf(prefix string) *facts {
	read := factIndex()[prefix]
	if read == nil {
		return nil
	}
	return read()
}

func readFacts(body string) *facts {
	f := &facts{types: map[string]string{}, actions: map[string]*actionFact{}}
	for line := range strings.SplitSeq(body, "\n") {
		switch kind, rest, _ := strings.Cut(line, " "); kind {
		case "type":
			name, arn, _ := strings.Cut(rest, " ")
			f.types[name] = arn
		case "on":
			left, names, _ := strings.Cut(rest, "= ")
			var types []typeUse
			var besides []string
			for word := range strings.FieldsSeq(left) {
				if action, ok := strings.CutPrefix(word, "+"); ok {
					besides = append(besides, action)
					continue
				}
				name, required := strings.CutSuffix(word, "!")
				types = append(types, typeUse{name, required})
			}
			for name := range strings.FieldsSeq(names) {
				f.actions[strings.ToLower(name)] = &actionFact{Name: name, Types: types, Besides: besides}
			}
		}
	}
	return f
}

// factOf gives what is known about an action; nil for one that the reference
// does not have.
func factOf(action string) (*facts, *actionFact) {
	prefix, name, _ := strings.Cut(action, ":")
	f := factsOf(prefix)
	if f == nil {
		return nil, nil
	}
	return f, f.actions[strings.ToLower(name)]
}

func knownAction(prefix, name string) bool {
	_, fact := factOf(prefix + ":" + name)
	return fact != nil
}

// KnownAction reports whether IAM has an action, by its whole name such as
// "s3:PutBucketPolicy".
func KnownAction(action string) bool {
	prefix, name, ok := strings.Cut(action, ":")
	return ok && knownAction(prefix, name)
}
