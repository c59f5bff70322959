package apimodel_test

import (
	"testing"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
)

func TestFoundByItsMark(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 29, 1, 2, 3, 4, time.FixedZone("", 3600))
	marked := func(text any) apimodel.Call {
		return call("ssm:SendCommand", map[string]any{"DocumentName": "AWS-RunShellScript", "Comment": text})
	}
	read, ok := apimodel.Search(marked("parry:1"), at)
	if !ok || read.Operation != "ListCommands" || read.Account == "" || read.Input["Filters"].([]any)[0].(map[string]any)["value"] != "2026-11-29T00:02:03Z" {
		t.Errorf("%+v, %v", read, ok)
	}
	for name, c := range map[string]apimodel.Call{"no mark": marked(nil), "an empty one": marked(""), "another operation": call("ssm:PutParameter", map[string]any{"Comment": "x"})} {
		if _, ok := apimodel.Search(c, at); ok {
			t.Errorf("%s: it is searched for", name)
		}
	}
	command := func(id, comment string) map[string]any {
		return map[string]any{"CommandId": id, "Comment": comment}
	}
	for name, tt := range map[string]struct {
		listed []any
		want   string
	}{
		"nothing":                  {nil, ""},
		"others":                   {[]any{command("a", "parry:2"), command("b", ""), "odd"}, ""},
		"the one":                  {[]any{command("a", "parry:2"), command("b", "parry:1")}, "b"},
		"two that say they are it": {[]any{command("a", "parry:1"), command("b", "parry:1")}, ""},
	} {
		got, ok := apimodel.Found(marked("parry:1"), apimodel.Reply{Output: map[string]any{"Commands": tt.listed}})
		if ok != (tt.want != "") || ok && got.Output["Command"].(map[string]any)["CommandId"] != tt.want {
			t.Errorf("%s: %v, %v", name, got.Output, ok)
		}
	}
}

// TestSearchesFitTheModels: the members that the table names are there.
func TestSearchesFitTheModels(t *testing.T) {
	t.Parallel()
	models, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"SendCommand"} {
		member, ok := apimodel.MarkMember("ssm", name)
		_, op, err := models.Find("ssm", name)
		if err != nil || !ok {
			t.Fatal(err)
		}
		if _, has := op.Input.Member(member); !has {
			t.Errorf("%s has no member %s", name, member)
		}
		read, _ := apimodel.Search(apimodel.Call{Service: "ssm", Operation: name, Input: map[string]any{member: "x"}}, time.Now())
		if models.Classify("ssm", read.Operation) != apimodel.Read {
			t.Errorf("%s is no read", read.Operation)
		}
		_, list, err := models.Find("ssm", read.Operation)
		if err != nil {
			t.Fatal(err)
		}
		for in := range read.Input {
			if _, has := list.Input.Member(in); !has {
				t.Errorf("%s takes no %s", read.Operation, in)
			}
		}
		commands, _ := list.Output.Member("Commands")
		if _, has := commands.Shape.Elem.Shape.Member(member); !has {
			t.Errorf("%s shows no %s", read.Operation, member)
		}
		if _, has := op.Output.Member("Command"); !has {
			t.Errorf("%s answers no Command", name)
		}
	}
}
