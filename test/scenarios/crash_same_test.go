package scenarios_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parry-security/parry/test/awswall"
)

// maxReadsAgain bounds the reads that a killed run makes more than the undisturbed
// one: those of the checkpoint that was under way, and of the image that shows
// whether a change was made.
const maxReadsAgain = 3

// made gives the calls that were made to apply a run's plan.
func (r *crashRun) made(log []awswall.Entry) []awswall.Entry {
	var out []awswall.Entry
	for _, e := range log {
		if strings.HasPrefix(e.Session, "parry-apply-"+string(r.remediation)) {
			out = append(out, e)
		}
	}
	return out
}

// changes gives the changes that were made, in order, with what was sent.
func (r *crashRun) changes(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, e := range r.calls {
		if e.Changed() {
			out = append(out, r.text(fmt.Sprint(e.Account, " ", e.Region, " ", e.Service, ":", e.Operation, " ", members(t, e.Body))))
		}
	}
	return out
}

// anyQueue is a queue of a document whose children run at once, as text gives it.
var anyQueue = regexp.MustCompile(`<Url[A-Z]>`)

// lanes gives changes in their order; those of a document whose children run at
// once by the queue, which tells the child: among children there is no order. The
// parent's own come last, and the last of all is a lane of its own.
func (r *crashRun) lanes(changes []string) map[string][]string {
	if len(r.doc.atOnce) == 0 {
		return map[string][]string{"": changes}
	}
	out := map[string][]string{}
	for i, c := range changes {
		lane := "of " + anyQueue.FindString(c) + " "
		out[lane] = append(out[lane], c)
		if i == len(changes)-1 {
			out["at last "] = []string{c}
		}
	}
	return out
}

func (r *crashRun) reads() []string {
	var out []string
	for _, e := range r.calls {
		if e.Class == "read" {
			out = append(out, e.Service+":"+e.Operation)
		}
	}
	return out
}

// members gives what a request carries, member by member, each with its path on the
// wire, sorted. The token of a request is not among them.
func members(t *testing.T, body []byte) []string {
	t.Helper()
	var out []string
	if strings.HasPrefix(string(body), "{") {
		out = paths("", decode[any](t, body))
	} else {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		for k, v := range form {
			out = append(out, k+"="+strings.Join(v, " and "))
		}
	}
	out = slices.DeleteFunc(out, func(m string) bool {
		return strings.HasPrefix(m, "ClientToken=") || strings.HasPrefix(m, ".ClientToken=")
	})
	slices.Sort(out)
	return out
}

// paths gives the values of a document, each behind its path. What is empty is a value.
func paths(at string, v any) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			out = append(out, paths(at+"."+k, item)...)
		}
		if len(v) > 0 {
			return out
		}
	case []any:
		for i, item := range v {
			out = append(out, paths(fmt.Sprintf("%s[%d]", at, i), item)...)
		}
		if len(v) > 0 {
			return out
		}
	}
	return []string{fmt.Sprintf("%s=%#v", at, v)}
}

// once gives the change that changed holds once more than want, next to its like;
// "" when that is not the difference.
func once(changed, want []string) string {
	if len(changed) != len(want)+1 {
		return ""
	}
	for i := 1; i < len(changed); i++ {
		if changed[i] == changed[i-1] && slices.Equal(slices.Delete(slices.Clone(changed), i, i+1), want) {
			return changed[i]
		}
	}
	return ""
}

// repeats reports whether a change may have been sent twice: AWS had it and Parry
// did not know it, and it does no harm, because it carries a token or ends the same.
func (r *crashRun) repeats(change string) bool {
	harmless := strings.Contains(change, ":CreateVolume") || strings.Contains(change, ":StopInstances")
	return r.where.Kind == "outcome" && r.where.Side == "before" && harmless
}

// differ gives what got has more than want, and what it lacks.
func differ(want, got []string) (extra, lost []string) {
	count := map[string]int{}
	for _, w := range want {
		count[w]++
	}
	for _, g := range got {
		if count[g]--; count[g] < 0 {
			extra = append(extra, g)
		}
	}
	for w, n := range count {
		if n > 0 {
			lost = append(lost, w)
		}
	}
	return extra, lost
}

var (
	anyUUID  = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	anyID    = regexp.MustCompile(`(vol|i|rem|appr)[-_][0-9a-zA-Z]{8,}`)
	timeKeys = regexp.MustCompile(`(Time|Date|Timestamp)$`)
)

// text says the same of every run of a document.
func (r *crashRun) text(s string) string {
	for _, k := range slices.Sorted(maps.Keys(r.resources)) {
		if k == "Name" || k == "Zone" {
			continue // the names of the queues begin with it
		}
		s = strings.ReplaceAll(s, r.resources[k], "<"+k+">")
	}
	s = strings.ReplaceAll(s, r.resources["Name"], "<Name>")
	return anyID.ReplaceAllString(anyUUID.ReplaceAllString(s, "<uuid>"), "<$1>")
}

// plain gives v without times and names that differ from run to run.
func (r *crashRun) plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, item := range v {
			if !timeKeys.MatchString(k) && k != "ResponseMetadata" {
				out[k] = r.plain(item)
			}
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, item := range v {
			out = append(out, r.plain(item))
		}
		return out
	case string:
		var inner any
		if strings.HasPrefix(v, "{") && json.Unmarshal([]byte(v), &inner) == nil {
			return r.plain(inner)
		}
		return r.text(v)
	}
	return v
}

// left reads in AWS what a run has changed, as the member's own administrator.
func (c *crashWorld) left(t *testing.T, r *crashRun) map[string]any {
	t.Helper()
	out := map[string]any{}
	for name, value := range r.resources {
		switch name {
		case "QueueUrl", "OtherUrl":
			attributes, _ := c.sqs(t, "GetQueueAttributes", document{"QueueUrl": value, "AttributeNames": []string{"All"}})["Attributes"].(map[string]any)
			out[name] = r.plain(attributes)
			out[name+" tags"] = c.sqs(t, "ListQueueTags", document{"QueueUrl": value})["Tags"]
		case "InstanceId":
			body := c.query(t, "ec2", "2016-11-15", "DescribeInstances", "InstanceId.1", value)
			out[name] = picked(t, body, "name", "key", "value")
		case "Name":
			body := c.query(t, "ec2", "2016-11-15", "DescribeVolumes", "Filter.1.Name", "tag:Run", "Filter.1.Value.1", value)
			out["volumes"] = strings.Count(body, "<volumeId>")
		}
	}
	return out
}

// picked gives the texts of an answer's elements of these names.
func picked(t *testing.T, body string, names ...string) []string {
	t.Helper()
	var out []string
	var at string
	d := xml.NewDecoder(strings.NewReader(body))
	for {
		token, err := d.Token()
		if err != nil {
			return out
		}
		switch token := token.(type) {
		case xml.StartElement:
			at = token.Name.Local
		case xml.CharData:
			if slices.Contains(names, at) && strings.TrimSpace(string(token)) != "" {
				out = append(out, at+"="+string(token))
			}
		case xml.EndElement:
			at = ""
		}
	}
}
