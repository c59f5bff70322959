package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// The recording server answers the mix of calls that the contenders send, each
// with a body of the size that AWS gives, and counts them. It is a process of its
// own, so that none of the contenders shares one with it.
type recordingServer struct {
	counts [len(mix)]atomic.Int64
	odd    atomic.Int64 // calls that are not of the mix, or not signed
}

// mix are the operations, in the order in which each contender sends them round
// and round: four protocols, one change.
var mix = [...]string{"s3:GetPublicAccessBlock", "s3:PutPublicAccessBlock", "sts:GetCallerIdentity", "dynamodb:GetItem", "lambda:GetFunctionConfiguration"}

// ServeHTTP answers one call, or tells the counts.
func (s *recordingServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/_counts" {
		for i := range s.counts {
			_, _ = fmt.Fprintf(w, "%s %d\n", mix[i], s.counts[i].Load())
		}
		_, _ = fmt.Fprintf(w, "odd %d\n", s.odd.Load())
		return
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	h := w.Header()
	h.Set("X-Amzn-Requestid", "0b2c7e4e-6a35-4d0c-9f7e-2f1f4a3f1d11")
	which, body := -1, ""
	_, query := r.URL.Query()["publicAccessBlock"]
	switch {
	case !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 "):
	case query && r.Method == http.MethodGet:
		which, body = 0, answerBlock
		h.Set("Content-Type", "application/xml")
		h.Set("X-Amz-Id-2", strings.Repeat("q", 76))
	case query && r.Method == http.MethodPut:
		which = 1
		h.Set("X-Amz-Id-2", strings.Repeat("q", 76))
	case strings.HasPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB"):
		which, body = 3, answerItem
		h.Set("Content-Type", "application/x-amz-json-1.0")
	case strings.HasPrefix(r.URL.Path, "/2015-03-31/functions/"):
		which, body = 4, answerFunction
		h.Set("Content-Type", "application/json")
	case r.URL.Path == "/" && r.Method == http.MethodPost:
		which, body = 2, answerCaller
		h.Set("Content-Type", "text/xml")
	}
	if which < 0 {
		s.odd.Add(1)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.counts[which].Add(1)
	_, _ = io.WriteString(w, body) // a client that went away needs no answer
}

// serveRecording is the process: it prints its address and serves until its
// standard input ends.
func serveRecording(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: &recordingServer{}, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = srv.Close()
	}()
	fmt.Fprintln(os.Stdout, "http://"+l.Addr().String())
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

const (
	answerBlock = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<PublicAccessBlockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` +
		`<BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy>` +
		`<RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`
	answerCaller = `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>` +
		`<Arn>arn:aws:sts::111122223333:assumed-role/Auditor/session</Arn><UserId>AROAEXAMPLEEXAMPLE:session</UserId><Account>111122223333</Account>` +
		`</GetCallerIdentityResult><ResponseMetadata><RequestId>0b2c7e4e-6a35-4d0c-9f7e-2f1f4a3f1d11</RequestId></ResponseMetadata></GetCallerIdentityResponse>`
	answerItem = `{"Item":{"pk":{"S":"account#111122223333"},"sk":{"S":"bucket#evidence"},"owner":{"S":"security"},"score":{"N":"71.5"},"open":{"BOOL":true},` +
		`"tags":{"M":{"team":{"S":"payments"},"cost":{"S":"4711"},"stage":{"S":"production"}}},"regions":{"L":[{"S":"us-east-1"},{"S":"eu-west-1"},{"S":"ap-southeast-2"}]},` +
		`"digest":{"B":"q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="},"numbers":{"NS":["1","2","3","5","8","13"]},"seen":{"S":"2026-01-01T12:00:00Z"}}}`
	answerFunction = `{"FunctionName":"rotate-keys","FunctionArn":"arn:aws:lambda:us-east-1:111122223333:function:rotate-keys","Runtime":"python3.13",` +
		`"Role":"arn:aws:iam::111122223333:role/service-role/rotate-keys","Handler":"app.handler","CodeSize":48213,"Description":"rotates keys that are too old",` +
		`"Timeout":30,"MemorySize":256,"LastModified":"2026-01-01T12:00:00.000+0000","CodeSha256":"q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=","Version":"$LATEST",` +
		`"VpcConfig":{"SubnetIds":["subnet-0aaaaaaaaaaaaaaaa","subnet-0bbbbbbbbbbbbbbbb"],"SecurityGroupIds":["sg-0cccccccccccccccc"],"VpcId":"vpc-0dddddddddddddddd"},` +
		`"Environment":{"Variables":{"LOG_LEVEL":"INFO","MAX_AGE":"90","TOPIC":"arn:aws:sns:us-east-1:111122223333:keys"}},"TracingConfig":{"Mode":"Active"},` +
		`"RevisionId":"3e1c8a4a-7d3f-4a7e-9d6b-5f7f2c1f0e11","State":"Active","LastUpdateStatus":"Successful","PackageType":"Zip","Architectures":["arm64"],` +
		`"EphemeralStorage":{"Size":512},"SnapStart":{"ApplyOn":"None","OptimizationStatus":"Off"},"LoggingConfig":{"LogFormat":"JSON","LogGroup":"/aws/lambda/rotate-keys"}}`
)
