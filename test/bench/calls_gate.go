package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
)

// contest is what a contender says of itself.
type contest struct {
	Calls   int     `json:"calls"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu"` // seconds of processor, system's share included
}

func (c contest) rate() float64 { return float64(c.Calls) / c.Seconds }

func (c contest) micros() float64 { return c.CPU / float64(c.Calls) * 1e6 }

// contendGate is the process of the gate: URL, workers, seconds.
func contendGate(ctx context.Context, args []string) error {
	workers, seconds, err := contendArgs(args)
	if err != nil {
		return err
	}
	for name, value := range map[string]string{"AWS_ENDPOINT_URL": args[0], "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example", "AWS_REGION": "us-east-1"} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	models, err := apimodel.Load()
	if err != nil {
		return err
	}
	client, err := awsapi.NewClient(awsapi.ClientConfig{Models: models, PerSecond: 1e9, Burst: 1e9, Limits: map[string]awsapi.Limit{"sts": {PerSecond: 1e9, Burst: 1e9}}})
	if err != nil {
		return err
	}
	defer client.Close()
	source := awsapi.NewCredentialSource(client)
	gate, err := awsapi.New(awsapi.Config{Sender: client, Models: models, Credentials: source, Guards: awsapi.Guards{
		ManagementAccount: "999999999999", Accounts: []string{"111122223333"}, OwnRoles: []string{"ParryMemberRole"},
		OwnResources: []string{"arn:aws:sqs:us-east-1:111122223333:parry"}, BreakGlass: []string{"arn:aws:iam::111122223333:role/BreakGlass"},
	}})
	if err != nil {
		return err
	}
	session := gate.ReadOnly(awsapi.Identity{SessionName: "bench"})
	key := awsapi.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: awsapi.NewSecret("example"), Account: "111122223333"}
	calls := []apimodel.Call{
		{Service: "s3", Operation: "GetPublicAccessBlock", Input: map[string]any{"Bucket": "evidence"}},
		{Service: "s3", Operation: "PutPublicAccessBlock", Input: map[string]any{"Bucket": "evidence", "PublicAccessBlockConfiguration": map[string]any{
			"BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true, "RestrictPublicBuckets": true,
		}}},
		{Service: "sts", Operation: "GetCallerIdentity"},
		{Service: "dynamodb", Operation: "GetItem", Input: map[string]any{"TableName": "state", "Key": map[string]any{"pk": map[string]any{"S": "account#111122223333"}, "sk": map[string]any{"S": "bucket#evidence"}}}},
		{Service: "lambda", Operation: "GetFunctionConfiguration", Input: map[string]any{"FunctionName": "rotate-keys"}},
	}
	return contend(ctx, workers, seconds, func(ctx context.Context, i int) error {
		c := calls[i%len(calls)]
		c.Region, c.Account = "us-east-1", "111122223333"
		if c.Operation == "PutPublicAccessBlock" {
			// A session that changes needs a plan, and makes three calls of one.
			_, err := client.Send(ctx, key, c)
			return err
		}
		_, err := session.Call(ctx, "", c)
		return err
	})
}

func contendArgs(args []string) (workers int, seconds float64, err error) {
	if len(args) != 3 {
		return 0, 0, fmt.Errorf("want URL, workers and seconds, got %d arguments", len(args))
	}
	if workers, err = strconv.Atoi(args[1]); err != nil {
		return 0, 0, err
	}
	seconds, err = strconv.ParseFloat(args[2], 64)
	return workers, seconds, err
}

// contend runs one with so many workers, after each has warmed up, and prints a contest.
func contend(ctx context.Context, workers int, seconds float64, one func(ctx context.Context, i int) error) error {
	var group sync.WaitGroup
	counts, errs := make([]int, workers), make([]error, workers)
	for i := range 2 * len(mix) {
		if err := one(ctx, i); err != nil {
			return err
		}
	}
	runtime.GC()
	began, used := time.Now(), processorTime()
	end := began.Add(time.Duration(seconds * float64(time.Second)))
	for w := range workers {
		group.Go(func() {
			for errs[w] == nil && time.Now().Before(end) {
				errs[w] = one(ctx, counts[w]+w)
				counts[w]++
			}
		})
	}
	group.Wait()
	c := contest{Seconds: time.Since(began).Seconds(), CPU: (processorTime() - used).Seconds()}
	for w := range workers {
		c.Calls += counts[w]
		if errs[w] != nil {
			return errs[w]
		}
	}
	return json.NewEncoder(os.Stdout).Encode(c)
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it cannot fail for this process
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
