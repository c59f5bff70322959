package scenarios_test

import (
	"context"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
)

// forgery is a finding that says more than is so.
type forgery struct {
	name  string
	of    string // the resource whose finding it begins as, by its key in the world
	edit  func(f document)
	state remediation.State
	words []string // of the reason and the hint
}

// naming makes the finding name another resource.
func naming(id string) func(document) {
	return func(f document) { f["Resources"].([]document)[0]["Id"] = id }
}

// hostileTitle means something to a page, a template, a terminal, a mail and a shell.
const hostileTitle = "<script>alert(1)</script><img src=x onerror=alert(1)> {{.Account}} ${7*7} $(id) \x1b[31mred\x1b]0;owned\x07 \u202egnp\r\nBcc: victim@example.com\r\n\r\n<b>body</b>"

// TestForgedFindingsChangeNothing: whoever can write a finding steers nothing by it. Each
// forgery is about something that is really bad, or really there, in an organization of
// this test's own; policy would fix it at once. The reason is there to read, the wall
// has seen no change, and a program that does not ask Parry finds everything as it was.
func TestForgedFindingsChangeNothing(t *testing.T) {
	t.Parallel()
	for name, edits := range map[string]func(t *testing.T) []func(document){
		"SQLite":     func(*testing.T) []func(document) { return nil },
		"PostgreSQL": func(t *testing.T) []func(document) { return []func(document){earth(t).onPostgres(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forgeries(t, edits(t))
		})
	}
}

func forgeries(t *testing.T, edits []func(document)) {
	w, resources, file := controlsWorld(t)
	e := w.env.Estate
	dev, prod, home := e.Members["dev"].Account, e.Members["prod"].Account, e.Region
	bad := func(member, control string) resource { return resources[member+"/"+home+"/"+control+"/bad"] }
	bucket := strings.TrimPrefix(bad("dev", "S3.8").ID, "arn:aws:s3:::")
	n := w.install(t, append(edits, func(cfg document) {
		var rules []document
		for _, c := range []string{"S3.1", "S3.8", "EC2.13", "KMS.4"} {
			match := []any{document{"suffix": "/" + c}}
			if g := generators[c]; g != "" {
				match = append(match, g)
			}
			rules = append(rules, document{"name": "fix-" + c, "playbooks": []string{c}, "pattern": document{
				"source": []string{"aws.securityhub"}, "detail": document{"findings": document{"GeneratorId": match}},
			}})
		}
		cfg["bus_rules"] = append(rules, cfg["bus_rules"].([]document)[1]) // and tell people
	})...)
	for name, args := range map[string][]string{
		"guest":  {"--account", dev, "--product", "aws/securityhub", "--trusted"},
		"rumour": {"--account", "*", "--product", "aws/securityhub"}, // not trusted
	} {
		out, err := n.parry(t, "", append([]string{"key", "create", name, "-o", "json", "--role", "source"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		n.keys[name] = decode[key](t, out)
	}
	s := n.serve(t)
	before := w.now()

	all := []forgery{
		{"an account that is not the organization's", "S3.8", func(f document) { f["AwsAccountId"] = "999999999999" }, remediation.Failed, []string{"account 999999999999 is not one that Parry answers for", "organization.accounts"}},
		{"the management account", "S3.8", func(f document) { f["AwsAccountId"] = e.Management.Account }, remediation.Failed, []string{"is not one that Parry answers for"}},
		{"a bucket of another account", "S3.8", naming(bad("prod", "S3.8").ID), remediation.Failed, []string{"planning stopped", "AccessDenied"}},
		{"an account of another account's finding", "S3.1", naming("AWS::::Account:" + prod), remediation.Failed, []string{"the resource is account " + prod + ", the finding is of account " + dev}},
		{"a group of another account", "EC2.13", naming(bad("prod", "EC2.13").ID), remediation.Failed, []string{"the ARN names account " + prod}},
		{"a key of another account", "KMS.4", naming(bad("prod", "KMS.4").ID), remediation.Failed, []string{"the ARN names account " + prod}},
		{"a group of another Region", "EC2.13", naming(resources["dev/eu-west-1/EC2.13/bad"].ID), remediation.Failed, []string{"the ARN names Region eu-west-1, the finding Region " + home}},
		{"another partition", "S3.8", naming("arn:aws-cn:s3:::" + bucket), remediation.Failed, []string{"partition aws-cn, this organization is in aws"}},
		{"an object", "S3.8", naming("arn:aws:s3:::x/../" + bucket), remediation.Failed, []string{"is an object, not a bucket"}},
		{"a query behind the name", "S3.8", naming("arn:aws:s3:::" + bucket + "?policy"), remediation.Failed, []string{"does not end in the name of a bucket"}},
		{"an escaped path", "S3.8", naming("arn:aws:s3:::%2e%2e%2f" + bucket), remediation.Failed, []string{"does not end in the name of a bucket"}},
		{"the folder above", "S3.8", naming("arn:aws:s3:::.."), remediation.Failed, []string{"does not end in the name of a bucket"}},
		{"every bucket", "S3.8", naming("arn:aws:s3:::*"), remediation.Failed, []string{"does not end in the name of a bucket"}},
		{"every group", "EC2.13", naming("arn:aws:ec2:" + home + ":" + dev + ":security-group/*"), remediation.Failed, []string{"does not end in security-group/"}},
		{"a line break", "S3.8", naming("arn:aws:s3:::" + bucket + "\r\nHost"), remediation.Failed, []string{"does not end in the name of a bucket"}},
		{"another service", "S3.8", naming("arn:aws:dynamodb:" + home + ":" + dev + ":table/" + bucket), remediation.Failed, []string{"is a resource of dynamodb, one of kind AwsS3Bucket is of s3"}},
		{"another kind", "S3.8", func(f document) {
			naming(bad("dev", "EC2.13").ID)(f)
			f["Resources"].([]document)[0]["Type"] = "AwsEc2SecurityGroup"
		}, remediation.Failed, []string{"playbook S3.8 fixes AwsS3Bucket, the finding names AwsEc2SecurityGroup"}},
		{"an alias for a key", "KMS.4", naming("arn:aws:kms:" + home + ":" + dev + ":alias/aws/s3"), remediation.Failed, []string{"does not end in key/"}},
		{"no ARN", "S3.8", naming("$(reboot)"), remediation.Failed, []string{"is not an ARN"}},
		{"a bucket that is not there", "S3.8", naming("arn:aws:s3:::never-made-" + dev), remediation.Failed, []string{"NoSuchBucket", "parry finding remediate"}},
		{"a key that is not there", "KMS.4", naming("arn:aws:kms:" + home + ":" + dev + ":key/00000000-0000-0000-0000-000000000000"), remediation.Failed, []string{"NotFoundException"}},
		{"a bucket that is fine", "S3.8", naming(resources["dev/"+home+"/S3.8/good"].ID), remediation.Cancelled, []string{"a live read found no violation"}},
		{"a group that is fine", "EC2.13", naming(resources["dev/"+home+"/EC2.13/good"].ID), remediation.Cancelled, []string{"a live read found no violation"}},
		{"a hostile title", "S3.8", func(f document) {
			naming("arn:aws:s3:::never-made-" + dev)(f)
			f["Title"], f["Description"] = hostileTitle, hostileTitle
		}, remediation.Failed, []string{"NoSuchBucket"}},
	}
	ids := map[string]finding.ID{}
	var findings []document
	for i, f := range all {
		r := bad("dev", f.of)
		doc := r.asff(home)
		doc["Id"] = fmt.Sprintf("%s-forged-%d", doc["Id"], i)
		f.edit(doc)
		ids[f.name] = finding.ID{ProductArn: doc["ProductArn"].(string), Id: doc["Id"].(string)}
		findings = append(findings, doc)
	}
	s.importAll(findings)
	for _, f := range all {
		t.Run(f.name, func(t *testing.T) {
			r := s.ended(t, ids[f.name], f.state)
			says(t, "reason and hint", r.Reason+" | "+r.Hint, f.words...)
			if changes := s.detail(r.ID).Changes; len(changes) > 0 {
				t.Errorf("it made %d changes", len(changes))
			}
		})
	}
	t.Run("a hostile title is text", func(t *testing.T) { s.titleIsText(t, ids["a hostile title"]) })

	// A source that may speak for dev alone is refused, and one that is not trusted gets
	// a plan that waits for people, though the violation is real.
	t.Run("a source speaks for an account that it may not", func(t *testing.T) {
		doc := bad("prod", "S3.8").asff(home)
		got := s.importAs("guest", []document{doc})
		if got.SuccessCount != 0 || len(got.FailedFindings) != 1 || got.FailedFindings[0].ErrorCode != "InvalidAccess" || !strings.Contains(got.FailedFindings[0].ErrorMessage, prod) {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a source that is not trusted", func(t *testing.T) {
		r := bad("dev", "KMS.4")
		if got := s.importAs("rumour", []document{r.asff(home)}); got.SuccessCount != 1 {
			t.Fatalf("got %+v", got)
		}
		waits := s.awaitFor(r.finding(home), remediation.AwaitingApproval)
		says(t, "reason", waits.Reason, "policy dev-automatic is automatic, but", "trusted")
	})

	for _, entry := range w.env.Wall.Log() {
		if entry.Seq > before && strings.HasPrefix(entry.Session, "parry-") && entry.Class != "read" && entry.Service != "sts" {
			t.Errorf("a forged finding led to %s:%s in %s by %s", entry.Service, entry.Operation, entry.Account, entry.Session)
		}
	}
	if out, err := w.env.Run(t.Context(), "controls.py", "expect", w.env.EstateFile(), file, "--fixed"); err != nil {
		t.Errorf("not as it was: %v\n%s", err, out)
	}
	s.settled()
}

// ended gives the remediation of a finding once it has a state.
func (n *node) ended(t *testing.T, id finding.ID, state remediation.State) remediation.Remediation {
	t.Helper()
	var last remediation.Remediation
	poll(t, patience, func() string { return fmt.Sprintf("it is %q, not %s: %s", last.State, state, last.Reason) }, func(ctx context.Context) bool {
		page, err := n.as("olga").Remediations(ctx, client.RemediationFilter{Finding: id}, client.Paging{})
		if err != nil || len(page.Items) == 0 {
			return false
		}
		last = page.Items[0]
		return last.State.Final() || last.State == state
	})
	if last.State != state {
		t.Fatalf("it is %s, not %s: %s", last.State, state, last.Reason)
	}
	return last
}

// titleIsText: mail about the finding has the header lines that Parry wrote and no
// others, its page shows the title and runs nothing, and no command steers a terminal.
func (n *node) titleIsText(t *testing.T, id finding.ID) {
	r := n.ended(t, id, remediation.Failed)
	m := n.mail(r.ID, "failed")
	msg, err := mail.ReadMessage(strings.NewReader(m.Text()))
	if err != nil {
		t.Fatal(err)
	}
	if msg.Header.Get("Bcc") != "" || !slices.Equal(m.To, []string{"security@example.com"}) {
		t.Errorf("the title wrote a header: %v, to %v", msg.Header, m.To)
	}
	if strings.ContainsFunc(m.Subject, func(r rune) bool { return r < 0x20 || r == 0x7f || r == '\u202e' }) {
		t.Errorf("subject %q", m.Subject)
	}
	html := page(m)
	for _, live := range []string{"<script", "<img", "<b>body", "onerror=alert(1)>"} {
		if strings.Contains(html, live) {
			t.Errorf("the page has %s", live)
		}
	}
	says(t, "page", html, "&lt;script&gt;", "{{.Account}}")
	says(t, "text", plain(m), "{{.Account}}", "${7*7}")
	for _, args := range [][]string{
		{"finding", "list"},
		{"finding", "show", id.Key()},
		{"finding", "history", id.Key()},
		{"remediation", "list"},
		{"finding", "show", string(r.ID)}, // by its remediation
		{"remediation", "show", string(r.ID)},
		{"finding", "show", id.Key(), "-o", "json"},
		{"finding", "list", "-o", "csv"},
		{"remediation", "calls", string(r.ID)},
	} {
		out, err := n.parry(t, n.endpoint, args...)
		if err != nil && len(out) == 0 {
			t.Errorf("parry %v: %v", args, err)
		}
		for _, r := range string(out) {
			if r != '\n' && r != '\t' && (r < 0x20 || r == 0x7f || r == '\u202e') {
				t.Errorf("parry %v prints %q", args, r)
				break
			}
		}
	}
}
