package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// The shape of the findings: as many accounts, controls and regions as an
// organization of some size has.
const (
	controls = 100
	stamp    = "2006-01-02T15:04:05.000Z"
)

func regions() []string { return []string{"us-east-1", "us-west-2", "eu-west-1", "eu-central-1"} }

// severity is that of a control: Security Hub gives each control one.
func severity(control int) (label string, normalized int) {
	switch control % 10 {
	case 0:
		return "CRITICAL", 90
	case 1, 2:
		return "HIGH", 70
	case 3, 4, 5, 6:
		return "MEDIUM", 40
	}
	return "LOW", 1
}

// maker gives findings of Security Hub, each about 4 KB, the same for the same
// seed.
type maker struct {
	random *rand.Rand
	n      int
	now    time.Time
}

func newMaker(seed uint64) *maker {
	return &maker{random: rand.New(rand.NewPCG(seed, 4)), now: time.Now().UTC()}
}

// account gives the id of the i-th member account.
func account(i int) string { return fmt.Sprintf("%012d", 300000000000+i) }

// finding gives the next finding, of a random control and one of accounts.
func (m *maker) finding(accounts int) json.RawMessage {
	m.n++
	r := m.random
	control, owner, region := r.IntN(controls), account(r.IntN(accounts)), regions()[r.IntN(len(regions()))]
	label, normalized := severity(control)
	status := "FAILED"
	if r.IntN(5) == 0 {
		status = "PASSED"
	}
	// A finding arrives soon after it was last updated.
	at := m.now.Add(-time.Duration(r.IntN(3_600_000)) * time.Millisecond).Format(stamp)
	id := fmt.Sprintf("%08x-%04x-%012x-%d", r.Uint32(), r.IntN(1<<16), r.Uint64N(1<<48), m.n)
	return []byte(asff(claim{
		Account: owner, Region: region, Control: fmt.Sprintf("S3.%d", control), ID: id, Severity: label, Normalized: normalized,
		Status: status, At: at, Bucket: fmt.Sprintf("bucket-%x-%d", r.Uint32(), m.n), Tags: m.tags(),
	}))
}

// tags make the finding as hard to compress as real ones: names and digests.
func (m *maker) tags() string {
	var b strings.Builder
	for i := range 8 {
		fmt.Fprintf(&b, `"team-%d":"%016x","commit-%d":"%016x%016x",`, i, m.random.Uint64(), i, m.random.Uint64(), m.random.Uint64())
	}
	return strings.TrimSuffix(b.String(), ",")
}

// claim is what a document is made of.
type claim struct {
	Account, Region, Control, ID, Severity, Status, At, Bucket, Tags string
	Normalized                                                       int
}

const standard = "aws-foundational-security-best-practices/v/1.0.0"

// asff writes f as Security Hub does.
func asff(f claim) string {
	hub := "arn:aws:securityhub:" + f.Region + ":" + f.Account
	product := "arn:aws:securityhub:" + f.Region + "::product/aws/securityhub"
	id := hub + ":subscription/" + standard + "/" + f.Control + "/finding/" + f.ID
	const about = "This control checks whether an Amazon S3 general purpose bucket blocks public access at the bucket level, that is, " +
		"whether ignorePublicAcls, blockPublicPolicy, blockPublicAcls and restrictPublicBuckets are set. It fails if any of them is false, " +
		"because an access control list or a bucket policy could then open the bucket to everyone on the internet."
	return `{"SchemaVersion":"2018-10-08","Id":"` + id + `","ProductArn":"` + product + `","ProductName":"Security Hub","CompanyName":"AWS",` +
		`"Region":"` + f.Region + `","GeneratorId":"` + standard + `/` + f.Control + `","AwsAccountId":"` + f.Account + `",` +
		`"Types":["Software and Configuration Checks/Industry and Regulatory Standards/AWS-Foundational-Security-Best-Practices"],` +
		`"FirstObservedAt":"` + f.At + `","LastObservedAt":"` + f.At + `","CreatedAt":"` + f.At + `","UpdatedAt":"` + f.At + `",` +
		fmt.Sprintf(`"Severity":{"Product":%d,"Label":"%s","Normalized":%d,"Original":"%[2]s"},`, f.Normalized, f.Severity, f.Normalized) +
		`"Title":"` + f.Control + ` S3 general purpose buckets should block public access","Description":"` + about + `",` +
		`"Remediation":{"Recommendation":{"Text":"For directions on how to fix this issue, consult the AWS Security Hub documentation.",` +
		`"Url":"https://docs.aws.amazon.com/console/securityhub/` + f.Control + `/remediation"}},` +
		`"ProductFields":{"StandardsArn":"arn:aws:securityhub:::standards/` + standard + `","StandardsSubscriptionArn":"` + hub + `:subscription/` + standard + `",` +
		`"ControlId":"` + f.Control + `","RecommendationUrl":"https://docs.aws.amazon.com/console/securityhub/` + f.Control + `/remediation",` +
		`"RelatedAWSResources:0/name":"securityhub-s3-bucket-level-public-access-prohibited-727dd3b1","RelatedAWSResources:0/type":"AWS::Config::ConfigRule",` +
		`"StandardsControlArn":"` + hub + `:control/` + standard + `/` + f.Control + `","aws/securityhub/ProductName":"Security Hub",` +
		`"aws/securityhub/CompanyName":"AWS","aws/securityhub/annotation":"` + about + `","Resources:0/Id":"arn:aws:s3:::` + f.Bucket + `",` +
		`"aws/securityhub/FindingId":"` + product + `/` + id + `"},` +
		`"Resources":[{"Type":"AwsS3Bucket","Id":"arn:aws:s3:::` + f.Bucket + `","Partition":"aws","Region":"` + f.Region + `","Tags":{"name":"` + f.Bucket + `",` + tagsOr(f.Tags) + `},` +
		`"Details":{"AwsS3Bucket":{"OwnerId":"75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a","CreatedAt":"` + f.At + `"}}}],` +
		`"Compliance":{"Status":"` + f.Status + `","SecurityControlId":"` + f.Control + `","AssociatedStandards":[{"StandardsId":"standards/` + standard + `"}]},` +
		`"WorkflowState":"NEW","Workflow":{"Status":"NEW"},"RecordState":"ACTIVE",` +
		`"FindingProviderFields":{"Severity":{"Label":"` + f.Severity + `","Original":"` + f.Severity + `"},` +
		`"Types":["Software and Configuration Checks/Industry and Regulatory Standards/AWS-Foundational-Security-Best-Practices"]}}`
}

func tagsOr(tags string) string {
	if tags == "" {
		return `"env":"dev"`
	}
	return tags
}
