package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/sweep"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type m = map[string]any

func shipped(t *testing.T, id string) playbook.Playbook {
	t.Helper()
	raw, err := fs.ReadFile(catalog.FS, "playbooks/"+id+".yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := playbook.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// cloud answers by "account/region service:Operation", "account service:Operation" or
// "service:Operation", the first that is there.
type cloud struct {
	answers map[string]any // m or error
	held    chan struct{}  // calls wait for it; nil = they do not
	asked   chan struct{}  // told of calls that wait

	mu    sync.Mutex
	calls []string
}

func (c *cloud) Reader(string) sweep.Caller { return c }

func (c *cloud) Call(ctx context.Context, _ string, call apimodel.Call) (apimodel.Reply, error) {
	if c.held != nil {
		select {
		case c.asked <- struct{}{}:
		case <-c.held:
		case <-ctx.Done():
		}
		select {
		case <-c.held:
		case <-ctx.Done():
			return apimodel.Reply{}, ctx.Err()
		}
	}
	name := call.Service + ":" + call.Operation
	c.mu.Lock()
	c.calls = append(c.calls, call.Account+"/"+call.Region+" "+name)
	c.mu.Unlock()
	for _, key := range []string{call.Account + "/" + call.Region + " " + name, call.Account + " " + name, name} {
		switch a := c.answers[key].(type) {
		case m:
			return apimodel.Reply{Output: a}, nil
		case error:
			return apimodel.Reply{}, a
		}
	}
	return apimodel.Reply{Output: m{}}, nil
}

// Pages gives two pages: what is listed, and nothing.
func (c *cloud) Pages(ctx context.Context, caller sweep.Caller, call apimodel.Call, page func(map[string]any) error) error {
	reply, err := caller.Call(ctx, "list", call)
	if err != nil {
		return err
	}
	return errors.Join(page(reply.Output), page(m{}))
}

// reports says which resources a finding is about, by ARN.
type reports map[string][]sweep.Finding

func (r reports) Reports(_ context.Context, _ []string, of playbook.Resource, region string) ([]sweep.Finding, error) {
	return append(r[of.ARN], r[of.ARN+" "+region]...), nil
}

const (
	dev  = "111122223333"
	prod = "444455556666"
)

func swept(t *testing.T, c *cloud, f sweep.Reporter, r sweep.Request) []sweep.Place {
	t.Helper()
	s, err := sweep.New(sweep.Config{Gate: c, Findings: f})
	if err != nil {
		t.Fatal(err)
	}
	var places []sweep.Place
	if err := s.Sweep(t.Context(), r, func(p sweep.Place) error { places = append(places, p); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(places, func(a, b sweep.Place) int { return strings.Compare(a.Account+a.Region, b.Account+b.Region) })
	return places
}

func groups(ids ...string) m {
	var out []any
	for _, id := range ids {
		cidr := "10.0.0.0/8"
		if strings.HasPrefix(id, "open") {
			cidr = "0.0.0.0/0"
		}
		out = append(out, m{"GroupId": id, "IpPermissions": []any{m{"IpProtocol": "tcp", "FromPort": int64(22), "ToPort": int64(22), "IpRanges": []any{m{"CidrIp": cidr}}}}})
	}
	return m{"SecurityGroups": out}
}

func TestTheListingIsAllThatIsRead(t *testing.T) {
	t.Parallel()
	c := &cloud{answers: map[string]any{
		dev + "/eu-west-1 ec2:DescribeSecurityGroups": groups("open-1", "shut-1", "open-2"),
		prod + " ec2:DescribeSecurityGroups":          &apimodel.APIError{Code: "UnauthorizedOperation", Message: "no"},
	}}
	arn := "arn:aws:ec2:eu-west-1:" + dev + ":security-group/"
	places := swept(t, c, reports{
		arn + "open-1 eu-west-1": {{Key: "k", Workflow: "SUPPRESSED", Compliance: "FAILED"}},
		arn + "open-2 us-east-1": {{Key: "elsewhere", Compliance: "FAILED"}},
	}, sweep.Request{Playbook: shipped(t, "EC2.13"), Accounts: []org.Account{{ID: dev}, {ID: prod}}, Regions: []string{"eu-west-1", "us-east-1"}})
	if len(places) != 4 {
		t.Fatalf("%d places", len(places))
	}
	first := places[0]
	var arns []string
	for _, r := range first.Failing {
		arns = append(arns, r.ARN)
	}
	if diff := cmp.Diff([]string{arn + "open-1", arn + "open-2"}, arns); diff != "" || first.Checked != 3 || first.Problem != "" {
		t.Errorf("%+v, failing (-want +got):\n%s", first, diff)
	}
	if !first.Failing[0].Reported() || first.Failing[1].Reported() {
		t.Errorf("reported: %+v", first.Failing)
	}
	if p := places[1]; p.Checked != 0 || p.Problem != "" {
		t.Errorf("an empty Region: %+v", p)
	}
	for _, p := range places[2:] {
		if p.Checked != 0 || !strings.Contains(p.Problem, "UnauthorizedOperation") || !strings.Contains(p.Hint, prod) {
			t.Errorf("a place that is denied: %+v", p)
		}
	}
	if len(c.calls) != 4 {
		t.Errorf("calls: %q", c.calls)
	}
}

func TestAnAccountIsLookedAtOnce(t *testing.T) {
	t.Parallel()
	on := m{"PublicAccessBlockConfiguration": m{"BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true, "RestrictPublicBuckets": true}}
	c := &cloud{answers: map[string]any{
		dev + " s3control:GetPublicAccessBlock":       &apimodel.APIError{Code: "NoSuchPublicAccessBlockConfiguration"},
		prod + " s3control:GetPublicAccessBlock":      on,
		"777788889999 s3control:GetPublicAccessBlock": &apimodel.APIError{Code: "AccessDenied"},
	}}
	places := swept(t, c, reports{"AWS::::Account:" + dev + " ": {{Key: "any Region's", Compliance: "FAILED"}}}, sweep.Request{
		Playbook: shipped(t, "S3.1"), Regions: []string{"eu-west-1", "us-east-1"},
		Accounts: []org.Account{{ID: dev}, {ID: prod}, {ID: "777788889999"}, {ID: "888899990000", State: org.Suspended}},
	})
	if len(places) != 4 || len(c.calls) != 3 {
		t.Fatalf("%d places, calls %q", len(places), c.calls)
	}
	if p := places[0]; len(p.Failing) != 1 || p.Failing[0].ARN != "AWS::::Account:"+dev || !p.Failing[0].Reported() || len(p.Failing[0].Checks) != 4 {
		t.Errorf("the bad one: %+v", p)
	}
	if p := places[1]; p.Checked != 1 || len(p.Failing) != 0 || p.Problem != "" {
		t.Errorf("the good one: %+v", p)
	}
	if p := places[2]; p.Checked != 0 || !strings.Contains(p.Problem, "AccessDenied") || len(p.Unread) != 0 {
		t.Errorf("the one that cannot be read: %+v", p)
	}
	if p := places[3]; p.Checked != 0 || p.Problem != "AWS Organizations has it as SUSPENDED" {
		t.Errorf("the suspended one: %+v", p)
	}
}

func TestWhatCannotBeReadIsNotClean(t *testing.T) {
	t.Parallel()
	arn := func(id string) string { return "arn:aws:kms:eu-west-1:" + dev + ":key/" + id }
	c := &cloud{answers: map[string]any{
		"kms:ListKeys":    m{"Keys": []any{m{"KeyArn": arn("k-1")}, m{"KeyArn": arn("k-2")}}},
		"kms:DescribeKey": &apimodel.APIError{Code: "AccessDeniedException"},
	}}
	places := swept(t, c, nil, sweep.Request{Playbook: shipped(t, "KMS.4"), Accounts: []org.Account{{ID: dev}}, Regions: []string{"eu-west-1"}})
	p := places[0]
	if p.Checked != 0 || len(p.Failing) != 0 || len(p.Unread) != 2 || p.Unread[0].ARN != arn("k-1") || p.Problem != "" {
		t.Errorf("%+v", p)
	}
	c = &cloud{answers: map[string]any{"kms:ListKeys": c.answers["kms:ListKeys"], "kms:DescribeKey": m{"KeyMetadata": m{"KeyManager": "AWS"}}}}
	p = swept(t, c, nil, sweep.Request{Playbook: shipped(t, "KMS.4"), Accounts: []org.Account{{ID: dev}}, Regions: []string{"eu-west-1"}})[0]
	if p.Checked != 0 || p.Outside != 2 || len(c.calls) != 3 {
		t.Errorf("keys of AWS's: %+v, calls %q", p, c.calls)
	}
}

// TestARegionThatIsOffIsNotSwept, and is no problem; each account is asked once, and only
// where a Region is swept that may be off.
func TestARegionThatIsOffIsNotSwept(t *testing.T) {
	t.Parallel()
	const closed = "777788889999"
	off := &apimodel.APIError{Code: "AuthFailure", HTTPStatus: 401}
	c := &cloud{answers: map[string]any{
		dev + "/eu-south-1 ec2:DescribeSecurityGroups": off, closed + "/eu-south-1 ec2:DescribeSecurityGroups": off,
		"ec2:DescribeSecurityGroups": groups("open-1"),
	}}
	var mu sync.Mutex
	asked := map[string]int{}
	s, err := sweep.New(sweep.Config{Gate: c, Regions: func(_ context.Context, _ sweep.Caller, account string) (map[string]bool, error) {
		mu.Lock()
		defer mu.Unlock()
		asked[account]++
		if account == closed {
			return nil, errors.New("it does not say")
		}
		return map[string]bool{"eu-west-1": true, "eu-south-1": account == prod, "eu-south-2": false}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	look := func(pb, order string, accounts ...string) []string {
		r := sweep.Request{Playbook: shipped(t, pb), Regions: strings.Fields(order)}
		for _, a := range accounts {
			r.Accounts = append(r.Accounts, org.Account{ID: a})
		}
		var out []string
		if err := s.Sweep(t.Context(), r, func(p sweep.Place) error {
			out = append(out, fmt.Sprintf("%s %s off=%t failing=%d problem=%t hint=%t", p.Account, p.Region, p.Off, len(p.Failing), p.Problem != "", strings.Contains(p.Hint, "turned on")))
			return nil
		}); err != nil {
			t.Error(err)
		}
		slices.Sort(out)
		return out
	}
	same := func(what string, want, got any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	same("groups", []string{
		dev + " eu-south-1 off=true failing=0 problem=false hint=false", dev + " eu-west-1 off=false failing=1 problem=false hint=false",
		prod + " eu-south-1 off=false failing=1 problem=false hint=false", prod + " eu-west-1 off=false failing=1 problem=false hint=false",
		closed + " eu-south-1 off=false failing=0 problem=true hint=true", closed + " eu-west-1 off=false failing=1 problem=false hint=false",
	}, look("EC2.13", "eu-south-1 eu-west-1", dev, prod, closed))
	same("asked", map[string]int{dev: 1, prod: 1, closed: 1}, asked)
	if slices.Contains(c.calls, dev+"/eu-south-1 ec2:DescribeSecurityGroups") {
		t.Errorf("it was called: %q", c.calls)
	}
	look("EC2.13", "eu-west-1 us-east-1", dev)
	same("where all are on, it is not asked", 1, asked[dev])
	// A control about whole accounts is looked at where the account can be reached.
	same("an account", []string{dev + " eu-west-1 off=false failing=1 problem=false hint=false"}, look("S3.1", "eu-south-1 eu-west-1", dev))
	same("an account that is off in all", []string{dev + " eu-south-1 off=true failing=0 problem=false hint=false"}, look("S3.1", "eu-south-1 eu-south-2", dev))
}

func TestASweepEndsWithItsCaller(t *testing.T) {
	t.Parallel()
	c := &cloud{held: make(chan struct{}), asked: make(chan struct{})}
	s, err := sweep.New(sweep.Config{Gate: c})
	if err != nil {
		t.Fatal(err)
	}
	r := sweep.Request{Playbook: shipped(t, "EC2.7"), Accounts: []org.Account{{ID: dev}}, Regions: []string{"eu-west-1"}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	for range 4 {
		go func() { ended <- s.Sweep(ctx, r, func(sweep.Place) error { return nil }) }()
	}
	for range 4 {
		<-c.asked // each of the four is at its first call
	}
	if err := s.Sweep(ctx, r, func(sweep.Place) error { return nil }); !fault.Is(err, fault.Exhausted) {
		t.Errorf("a fifth: %v", err)
	}
	cancel()
	for range 4 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("err is %v", err)
		}
	}
	close(c.held)
	gone := errors.New("gone")
	if err := s.Sweep(t.Context(), r, func(sweep.Place) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("err is %v", err)
	}
}

func TestARequestIsHeldAgainstLimits(t *testing.T) {
	t.Parallel()
	pb := shipped(t, "EC2.7")
	many := make([]org.Account, sweep.MaxPlaces+1)
	for name, c := range map[string]struct {
		r    sweep.Request
		code fault.Code
	}{
		"no sweep": {sweep.Request{Accounts: many[:1], Regions: []string{"r"}}, fault.Invalid},
		"nowhere":  {sweep.Request{Playbook: pb, Accounts: many[:1]}, fault.Invalid},
		"no one":   {sweep.Request{Playbook: pb, Regions: []string{"r"}}, fault.Invalid},
		"too many": {sweep.Request{Playbook: pb, Accounts: many, Regions: []string{"r"}}, fault.Exhausted},
	} {
		if err := c.r.Check(); !fault.Is(err, c.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
