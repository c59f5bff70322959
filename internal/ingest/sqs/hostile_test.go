package sqs_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/ingest"
	"github.com/parry-security/parry/internal/ingest/sqs"
	"github.com/parry-security/parry/internal/normalize/eventbridge"
)

// hostile is a message that a queue may carry: the words of its refusal, "" where it
// is stored.
type hostile struct{ name, body, words string }

const (
	asff = `{"SchemaVersion":"2018-10-08","Id":"a","ProductArn":"arn:aws:securityhub:eu-west-1::product/aws/config","GeneratorId":"g","AwsAccountId":"111111111111",
		"CreatedAt":"2026-01-01T00:00:00Z","UpdatedAt":"2026-01-01T00:00:00Z","Title":"t","Description":"d","Severity":{"Label":"LOW"},"Resources":[{"Type":"Other","Id":"x"}]}`
	ocsf = `{"class_uid":2003,"category_uid":2,"activity_id":1,"severity_id":2,"time":1767225600000,"metadata":{"version":"1.4.0","product":{"name":"Config","vendor_name":"AWS","uid":"arn:aws:securityhub:eu-west-1::product/aws/config"}},
		"cloud":{"provider":"AWS","region":"eu-west-1","account":{"uid":"111111111111"}},"finding_info":{"uid":"o","title":"t","desc":"d","created_time":1767225600000},"resources":[{"uid":"x","type":"Other"}]}`
)

// event is what Security Hub sends of a finding.
func event(finding string) string {
	return `{"version":"0","id":"e","detail-type":"Security Hub Findings - Imported","source":"aws.securityhub","account":"111111111111","time":"2026-01-01T00:00:00Z","region":"eu-west-1","detail":{"findings":[` + finding + `]}}`
}

// with gives a document with members beside its own.
func with(document, members string) string {
	return strings.TrimSuffix(document, "}") + "," + members + "}"
}

func hostileMessages() []hostile {
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
	inert := `"Title":"<script>alert(1)</script> {{7*7}} ${jndi:ldap://x/a} %s%n '; DROP TABLE finding; -- \u0000 \u202e \u001b[31m"`
	return []hostile{
		{"a good finding", asff, ""},
		{"a good event", event(asff), ""},
		{"a good finding in OCSF", ocsf, ""},
		{"nothing", "", "not a JSON object"},
		{"no JSON", "\x00\x01", "invalid character"},
		{"10 MB", with(asff, `"Future":"`+strings.Repeat("x", 10<<20)+`"`), "limit"},
		{"10 MB in an event", event(with(asff, `"Future":"`+strings.Repeat("x", 10<<20)+`"`)), "limit"},
		{"10 MB in OCSF", with(ocsf, `"unmapped":"`+strings.Repeat("x", 10<<20)+`"`), "limit"},
		{"10,000 levels", with(asff, `"Future":`+deep), "nested"},
		{"10,000 levels in an event", event(with(asff, `"Future":`+deep)), "nested"},
		{"10,000 levels in OCSF", with(ocsf, `"unmapped":`+deep), "nested"},
		{"10,000 open", strings.Repeat(`{"a":`, 10_000), "nested"},
		{"not UTF-8", with(asff, "\"Future\":\"\xff\xfe\""), "UTF-8"},
		{"not UTF-8 in an event", event(with(asff, "\"Future\":\"\xff\xfe\"")), "UTF-8"},
		{"not UTF-8 in OCSF", with(ocsf, "\"unmapped\":\"\xff\xfe\""), "UTF-8"},
		{"a zero byte as such", with(asff, "\"Future\":\"\x00\""), "invalid character"},
		{"a zero byte in the Id", with(asff, `"Id":"a\u0000b"`), "data.Id should match pattern"},
		{"a zero byte in the uid of OCSF", strings.Replace(ocsf, `"uid":"o"`, `"uid":"o\u0000"`, 1), "data.Id should match pattern"},
		{"a number of 1e999", with(asff, `"Future":1e999`), "out of range"},
		{"a number of 1e999 in an event", event(with(asff, `"Future":1e999`)), "out of range"},
		{"a number of 1e999 in OCSF", with(ocsf, `"unmapped":{"a":1e999}`), "out of range"},
		{"100,000 digits", with(asff, `"Future":`+strings.Repeat("9", 100_000)), "a number has 100000 characters"},
		{"a second account", with(asff, `"AwsAccountId":"222222222222"`), "222222222222"},
		{"a second account in an event", event(with(asff, `"AwsAccountId":"222222222222"`)), "222222222222"},
		{"a second account in OCSF", with(ocsf, `"cloud":{"provider":"AWS","region":"eu-west-1","account":{"uid":"222222222222"}}`), `"cloud" is there twice`},
		{"a second product", with(asff, `"ProductArn":"arn:aws:securityhub:eu-west-1::product/aws/guardduty"`), "guardduty"},
		{"a list for a member", with(asff, `"Severity":[]`), "Severity should be object"},
		{"text that means something elsewhere", with(asff, inert), ""},
		{"the same in an event", event(with(asff, inert)), ""},
		{"a thousand findings", event(strings.TrimSuffix(strings.Repeat(asff+",", 1000), ",")), "more than the limit"},
	}
}

// TestHostileMessages: what a queue may carry to harm Parry is kept aside with its
// reason or stored as the text that it is, and the messages beside it go on.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	for _, h := range hostileMessages() {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			q := &queue{messages: []any{message(h.body, 1), message(strings.Replace(asff, `"Id":"a"`, `"Id":"beside"`, 1), 1)}}
			k := &keeper{q: q}
			c, err := sqs.New(sqs.Config{
				URL: "https://sqs.eu-west-1.amazonaws.com/111111111111/q", Region: "eu-west-1", Caller: q, Store: k,
				Read: func(raw []byte) (ingest.Document, error) {
					m, err := eventbridge.Read(raw)
					return ingest.Document(m), err
				},
				Source: ingest.Source{Name: "q", Accounts: []string{"111111111111"}, Products: []string{"aws/config"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := 1
			if h.words == "" {
				want = 2
			}
			if len(k.inbox) != want || len(k.rejected) != 2-want {
				t.Fatalf("%d stored, kept aside: %+v", len(k.inbox), k.rejected)
			}
			for _, r := range k.rejected {
				if !strings.Contains(r.Reason, h.words) || len(r.Reason) > 4096 {
					t.Errorf("kept aside because %.300q, want %q", r.Reason, h.words)
				}
			}
			if h.words != "" {
				return
			}
			var sent, kept struct{ Title string }
			if json.Unmarshal([]byte(h.body), &sent) == nil && json.Unmarshal(k.inbox[0].Finding, &kept) == nil && sent.Title != "" && sent != kept {
				t.Errorf("stored as %q, was %q", kept.Title, sent.Title)
			}
		})
	}
}

// FuzzPoll sends any text as a message: the collector stores it or keeps it aside.
func FuzzPoll(f *testing.F) {
	for _, h := range hostileMessages() {
		if len(h.body) < 1<<16 {
			f.Add(h.body)
		}
	}
	f.Add(`{"Type":"Notification","Message":"{}"}`)
	f.Fuzz(func(t *testing.T, body string) {
		q := &queue{messages: []any{message(body, 1)}}
		k := &keeper{q: q}
		c, err := sqs.New(sqs.Config{
			URL: "https://sqs.eu-west-1.amazonaws.com/111111111111/q", Region: "eu-west-1", Caller: q, Store: k, Forward: true,
			Read: func(raw []byte) (ingest.Document, error) {
				m, err := eventbridge.Read(raw)
				return ingest.Document(m), err
			},
			Source: ingest.Source{Name: "q", Accounts: []string{"111111111111"}, Products: []string{"aws/config"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, item := range k.inbox {
			f, err := finding.Reopen(item.Finding)
			if err != nil || f.Account() != "111111111111" || f.Validate() != nil {
				t.Errorf("stored %s (%v, %v)", item.Finding, err, f.Validate())
			}
		}
		for _, r := range k.rejected {
			if strings.HasPrefix(r.Reason, "unexpected: ") {
				t.Errorf("a reader broke: %s", r.Reason)
			}
		}
	})
}
