// Command sdkcalls is aws-sdk-go-v2's side of the contest in test/bench: it sends
// the same mix of calls as the gate and boto3 and prints how many it made.
//
//	sdkcalls URL WORKERS SECONDS
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

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sdkcalls:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("want URL, workers and seconds, got %d arguments", len(args))
	}
	workers, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseFloat(args[2], 64)
	if err != nil {
		return err
	}
	calls := mix(aws.Config{Region: "us-east-1", BaseEndpoint: aws.String(args[0]), Credentials: credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "example", "")})
	for _, call := range append(calls, calls...) { // warm up
		if err := call(ctx); err != nil {
			return err
		}
	}
	runtime.GC()
	var group sync.WaitGroup
	counts, errs := make([]int, workers), make([]error, workers)
	began, used := time.Now(), processorTime()
	end := began.Add(time.Duration(seconds * float64(time.Second)))
	for w := range workers {
		group.Go(func() {
			for errs[w] == nil && time.Now().Before(end) {
				errs[w] = calls[(counts[w]+w)%len(calls)](ctx)
				counts[w]++
			}
		})
	}
	group.Wait()
	took, cpu, total := time.Since(began).Seconds(), (processorTime() - used).Seconds(), 0
	for w := range workers {
		total += counts[w]
		if errs[w] != nil {
			return errs[w]
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"calls": total, "seconds": took, "cpu": cpu})
}

// mix gives the calls in the order of the contest.
func mix(cfg aws.Config) []func(context.Context) error {
	buckets := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	tables, functions, caller := dynamodb.NewFromConfig(cfg), lambda.NewFromConfig(cfg), sts.NewFromConfig(cfg)
	yes, bucket := aws.Bool(true), aws.String("evidence")
	key := map[string]dynamotypes.AttributeValue{
		"pk": &dynamotypes.AttributeValueMemberS{Value: "account#111122223333"},
		"sk": &dynamotypes.AttributeValueMemberS{Value: "bucket#evidence"},
	}
	return []func(context.Context) error{
		func(ctx context.Context) error {
			_, err := buckets.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: bucket})
			return err
		},
		func(ctx context.Context) error {
			_, err := buckets.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: bucket, PublicAccessBlockConfiguration: &s3types.PublicAccessBlockConfiguration{
				BlockPublicAcls: yes, IgnorePublicAcls: yes, BlockPublicPolicy: yes, RestrictPublicBuckets: yes,
			}})
			return err
		},
		func(ctx context.Context) error {
			_, err := caller.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
			return err
		},
		func(ctx context.Context) error {
			_, err := tables.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("state"), Key: key})
			return err
		},
		func(ctx context.Context) error {
			_, err := functions.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("rotate-keys")})
			return err
		},
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it cannot fail for this process
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
