package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
	"github.com/parry-security/parry/test/testenv"
)

const (
	fixes  = 55 // buckets that are public three times over
	simple = 5  // buckets that lack Block Public Access only
)

// remediations measures whole fixes on a real server against moto.
func remediations() measurement {
	return measurement{
		rows: []Row{
			atMost("fix/p50", "finding accepted -> verified, one S3 bucket, p50", 500, "ms"),
			atMost("fix/p95", "finding accepted -> verified, one S3 bucket, p95", 500, "ms"),
			atMost("fix/calls", "AWS calls for one verified S3 fix, an account's setting (S3.1)", 3, "calls"),
			atMost("fix/calls/bucket", "  a bucket that lacks that setting only (S3.8)", 3, "calls"),
			atMost("fix/calls/three", "  a bucket that is public three times over (S3.2), most of 54", 9, "calls"),
			atMost("fix/calls/first", "  the first such bucket of an account, whose own block is read", 9, "calls"),
		},
		limit: 3 * time.Minute,
		run:   measureFixes,
	}
}

func measureFixes(ctx context.Context, b *bench, rows map[string]*Row) error {
	dir, err := b.temp("fix")
	if err != nil {
		return err
	}
	env, err := testenv.Start(ctx, testenv.Options{Dir: dir, Log: b.logger()})
	if err != nil {
		return err
	}
	defer env.Stop()
	dev := env.Estate.Members["dev"]
	cfg := organization([]string{dev.Account}, "automatic")
	cfg["bus_rules"] = append(cfg["bus_rules"].([]any), map[string]any{"name": "settings", "playbooks": []string{"*"}, "pattern": map[string]any{
		"detail": map[string]any{"findings": map[string]any{"GeneratorId": []any{map[string]any{"suffix": "/S3.1"}, map[string]any{"suffix": "/S3.8"}}}},
	}})
	org, _ := cfg["organization"].(map[string]any)
	org["external_id"], org["hub_account"], org["management_account"] = env.Estate.ExternalID, env.Estate.Security.Account, env.Estate.Management.Account
	n, err := b.node(ctx, dir, cfg, env.Environ(env.Estate.Security.Hub))
	if err != nil {
		return err
	}
	defer n.stop()
	buckets, err := makeBuckets(ctx, env, dev)
	if err != nil {
		return fmt.Errorf("make buckets: %w", err)
	}
	if err := errors.Join(n.keys(ctx), n.start(ctx)); err != nil {
		return err
	}
	var took []time.Duration
	calls := map[string][]int{}
	text := map[string]string{}
	for i, bucket := range buckets {
		own, made, err := fixOne(ctx, env, n, claimOf(i, dev.Account, bucket), "arn:aws:s3:::"+bucket)
		if err != nil {
			return fmt.Errorf("fix %s: %w", bucket, err)
		}
		row := "fix/calls/bucket"
		switch {
		case i == 0: // it warms up
			row = "fix/calls/first"
		case i < fixes:
			row, took = "fix/calls/three", append(took, own)
		}
		number, kinds := countCalls(made)
		if calls[row] = append(calls[row], number); number == slices.Max(calls[row]) {
			text[row] = kinds
		}
	}
	_, made, err := fixOne(ctx, env, n, s31(dev.Account), accountResource(dev.Account))
	if err != nil {
		return fmt.Errorf("fix account %s: %w", dev.Account, err)
	}
	number, kinds := countCalls(made)
	rows["fix/calls"].set(float64(number), "policy says automatic; STS apart: %s", kinds)
	rows["fix/p50"].set(quantile(took, 0.5), "%d fixes of three changes one after another, parry serve on SQLite, moto behind the wall; AWS's own time taken off", len(took))
	rows["fix/p95"].set(quantile(took, 0.95), "as above; slowest %.0f ms", quantile(took, 1))
	for row, each := range calls {
		slices.Sort(each)
		rows[row].set(float64(each[len(each)-1]), "policy says automatic, the middle one took %d; STS apart: %s", each[len(each)/2], text[row])
	}
	return nil
}

// makeBuckets makes the buckets as their owner would.
func makeBuckets(ctx context.Context, env *testenv.Env, m testenv.Member) ([]string, error) {
	models, err := apimodel.Load()
	if err != nil {
		return nil, err
	}
	aws, err := awsapi.NewClient(awsapi.ClientConfig{Models: models, Getenv: func(name string) string {
		if name == "AWS_ENDPOINT_URL" {
			return env.WallURL
		}
		return ""
	}, PerSecond: 1000, Burst: 1000})
	if err != nil {
		return nil, err
	}
	defer aws.Close()
	owner := awsapi.Credentials{AccessKeyID: m.Owner.AccessKeyID, SecretAccessKey: awsapi.NewSecret(m.Owner.Secret), Account: m.Account}
	call := func(operation string, input map[string]any) (apimodel.Reply, error) {
		return aws.Send(ctx, owner, apimodel.Call{Service: "s3", Operation: operation, Region: "us-east-1", Input: input})
	}
	var names []string
	for i := range fixes + simple {
		name := fmt.Sprintf("bench-%d-%s", i, m.Account)
		names = append(names, name)
		if _, err := call("CreateBucket", map[string]any{"Bucket": name, "ObjectOwnership": "ObjectWriter"}); err != nil {
			return nil, err
		}
		if _, err := call("DeletePublicAccessBlock", map[string]any{"Bucket": name}); err != nil {
			return nil, err
		}
		if i >= fixes {
			continue
		}
		if _, err := call("PutBucketAcl", map[string]any{"Bucket": name, "ACL": "public-read"}); err != nil {
			return nil, err
		}
		if _, err := call("PutBucketPolicy", map[string]any{"Bucket": name, "Policy": fmt.Sprintf(openPolicy, name)}); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// fixOne sends the finding of a resource, waits until its fix is verified, and
// gives the time that it took without AWS's, and AWS's calls.
func fixOne(ctx context.Context, env *testenv.Env, n *node, finding, resource string) (time.Duration, []awswall.Entry, error) {
	before := len(env.Wall.Log())
	body, err := batch([]json.RawMessage{json.RawMessage(finding)})
	if err != nil {
		return 0, nil, err
	}
	began := time.Now()
	if err := n.send(ctx, body, 1); err != nil {
		return 0, nil, err
	}
	r, err := n.awaitState(ctx, resource, remediation.Verified)
	if err != nil {
		return 0, nil, err
	}
	made := env.Wall.Log()[before:]
	return r.UpdatedAt.Sub(began) - inFlight(made, began, r.UpdatedAt), made, nil
}

// claimOf is the finding of the i-th bucket: S3.2 has three things to change, S3.8 one.
func claimOf(i int, owner, bucket string) string {
	if i < fixes {
		return bucketFinding("S3.2", owner, bucket)
	}
	return bucketFinding("S3.8", owner, bucket)
}

// bucketFinding is the finding of a control for a bucket.
func bucketFinding(control, owner, bucket string) string {
	return asff(claim{
		Account: owner, Region: "us-east-1", Control: control, ID: bucket, Severity: "HIGH", Normalized: 70, Status: "FAILED",
		At: time.Now().UTC().Format(stamp), Bucket: bucket,
	})
}

// accountResource is the id of an account as a resource.
func accountResource(account string) string { return "AWS::::Account:" + account }

// s31 is the finding of S3.1 for an account.
func s31(account string) string {
	f := asff(claim{
		Account: account, Region: "us-east-1", Control: "S3.1", ID: account, Severity: "MEDIUM", Normalized: 40, Status: "FAILED",
		At: time.Now().UTC().Format(stamp), Bucket: "bucket",
	})
	return strings.NewReplacer(`"Type":"AwsS3Bucket","Id":"arn:aws:s3:::bucket"`, `"Type":"AwsAccount","Id":"`+accountResource(account)+`"`,
		`"Details":{"AwsS3Bucket"`, `"Details":{"Other"`).Replace(f)
}

// awaitState asks for the newest remediation until it is of a resource and has
// the state.
func (n *node) awaitState(ctx context.Context, resource string, want remediation.State) (remediation.Remediation, error) {
	for {
		page, err := n.admin.Remediations(ctx, client.RemediationFilter{}, client.Paging{Limit: 1})
		if err != nil {
			return remediation.Remediation{}, err
		}
		for _, r := range page.Items {
			switch {
			case r.Resource == resource && r.State == want:
				return r, nil
			case r.Resource == resource && r.State.Final():
				return r, fmt.Errorf("it became %s: %s", r.State, r.Reason)
			}
		}
		select {
		case <-ctx.Done():
			return remediation.Remediation{}, fmt.Errorf("it did not become %s: %w: %s", want, context.Cause(ctx), n.log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// inFlight is how much of the time between two instants at least one call to
// AWS was under way. The log has whole milliseconds, cut off: what is missing
// counts as Parry's.
func inFlight(calls []awswall.Entry, from, to time.Time) time.Duration {
	calls = slices.Clone(calls)
	slices.SortFunc(calls, func(a, b awswall.Entry) int { return a.Time.Compare(b.Time) })
	var total time.Duration
	at := from
	for _, c := range calls {
		begin, end := c.Time, c.Time.Add(time.Duration(c.DurationMS)*time.Millisecond)
		if begin.Before(at) {
			begin = at
		}
		if end.After(to) {
			end = to
		}
		if end.After(begin) {
			total += end.Sub(begin)
			at = end
		}
	}
	return total
}

// countCalls counts the calls of one fix without STS, and says of what kind.
func countCalls(made []awswall.Entry) (int, string) {
	n, sts := 0, 0
	kinds := map[string]int{}
	for _, e := range made {
		if e.Service == "sts" {
			sts++
			continue
		}
		n++
		stage := strings.TrimPrefix(e.Session, "parry-")
		stage, _, _ = strings.Cut(stage, "-")
		kinds[stage+" "+e.Class]++
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		parts = append(parts, fmt.Sprintf("%d %s", kinds[k], k))
	}
	return n, fmt.Sprintf("%s; %d STS", strings.Join(parts, ", "), sts)
}

// fileSize is a file's size in MB.
func fileSize(name string) (float64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	return float64(info.Size()) / (1 << 20), nil
}
