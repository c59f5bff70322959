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

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/remediation"
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
			out = append(out, r.text(fmt.Sprint(e.Account, " ", e.Region, " ", e.Service, ":", e.Operation, " ", carried(t, e))))
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

// carried gives the values that a call carried, sorted: they are the same whatever the
// wire format is. The token of a request is not among them.
func carried(t *testing.T, e awswall.Entry) []string {
	t.Helper()
	var out []string
	if !strings.HasPrefix(string(e.Body), "{") {
		form, err := url.ParseQuery(string(e.Body))
		if err != nil {
			t.Fatalf("%s: %v", e.Operation, err)
		}
		for k, v := range form {
			if k != "Action" && k != "Version" && k != "ClientToken" {
				out = append(out, v...)
			}
		}
		slices.Sort(out)
		return out
	}
	return leaves(decode[any](t, e.Body))
}

// leaves gives the values of a document, and the keys of its maps that are data,
// sorted.
func leaves(v any) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		for k, item := range v {
			if k != "ClientToken" {
				out = append(out, leaves(item)...)
			}
		}
	case []any:
		for _, item := range v {
			out = append(out, leaves(item)...)
		}
	case nil:
	default:
		out = append(out, fmt.Sprint(v))
	}
	slices.Sort(out)
	return out
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
	return r.where.kind == "outcome" && r.where.side == "before" && harmless
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

// planned holds the changes that an undisturbed run made against its plan: class,
// operation, account, region and input are those that the plan has, in its order;
// what an open plan did not foresee is among what it allows.
func (c *crashWorld) planned(t *testing.T, r *crashRun) {
	t.Helper()
	p := r.plan
	if p.Open != (r.doc.open != "") || !strings.Contains(p.OpenReason, r.doc.open) || p.Open == (p.OpenReason == "") {
		t.Errorf("%s: the plan is open: %v, because %q; want it to name %q", r, p.Open, p.OpenReason, r.doc.open)
	}
	var want []string
	for _, pc := range p.Calls {
		if pc.Class == apimodel.Change {
			want = append(want, r.text(fmt.Sprint(pc.Account, " ", pc.Region, " ", pc.Service, ":", pc.Operation, " ", planInput(t, pc.Input))))
		}
	}
	changed := r.changes(t)
	n := min(len(want), len(changed))
	if diff := cmp.Diff(want, changed[:n]); diff != "" {
		t.Errorf("%s: changes (-planned +made):\n%s", r, diff)
	}
	var beyond []awswall.Entry
	for _, e := range r.calls {
		if e.Changed() {
			beyond = append(beyond, e)
		}
	}
	for _, e := range beyond[n:] {
		if !slices.ContainsFunc(p.Beyond, func(a remediation.Allowance) bool { return c.allows(t, r, a, e) }) {
			t.Errorf("%s: %s:%s was made and neither planned nor allowed beyond: %+v", r, e.Service, e.Operation, p.Beyond)
		}
	}
	if !p.Open && len(beyond) > n {
		t.Errorf("%s: %d changes were made, %d planned", r, len(beyond), n)
	}
	reads := r.reads()
	for _, pc := range p.Calls {
		if pc.Class == apimodel.Read && !slices.Contains(reads, pc.Service+":"+pc.Operation) {
			t.Errorf("%s: the planned read %s:%s was not made", r, pc.Service, pc.Operation)
		}
	}
}

// allows reports whether a call is one of an allowance.
func (c *crashWorld) allows(t *testing.T, r *crashRun, a remediation.Allowance, e awswall.Entry) bool {
	t.Helper()
	return a.Class == apimodel.Change && a.Service == e.Service && a.Operation == e.Operation && a.Account == e.Account && a.Region == e.Region &&
		(len(a.FromOutputs) > 0 || slices.Equal(planInput(t, a.Input), carried(t, e)))
}

// planInput gives the values of a planned input, as carried gives those of a call.
func planInput(t *testing.T, in map[string]any) []string {
	t.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	return leaves(decode[any](t, raw))
}
