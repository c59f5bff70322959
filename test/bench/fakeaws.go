package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// fakeAWS answers the calls of the S3.2 playbook and STS, fast enough that what
// is measured is Parry. Each bucket is public three times over when it is first
// asked about. It checks no signature: moto behind the wall does.
type fakeAWS struct {
	server *http.Server
	url    string
	delay  time.Duration // what a call takes, STS excepted

	mu      sync.Mutex
	buckets map[string]*fakeBucket
	calls   []fakeCall
}

type fakeBucket struct {
	block  string // the body of PutPublicAccessBlock
	policy string
	acl    string
}

// fakeCall is one call that was answered.
type fakeCall struct {
	Bucket, Operation string
	// Node is whose process credentials the session came from; Session its name.
	Node, Session string
	Began, Ended  time.Time
}

func (c fakeCall) change() bool { return !strings.HasPrefix(c.Operation, "Get") }

func startFakeAWS(ctx context.Context, delay time.Duration) (*fakeAWS, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &fakeAWS{url: "http://" + l.Addr().String(), delay: delay, buckets: map[string]*fakeBucket{}}
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := f.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // the listener is ours alone
		}
	}()
	return f, nil
}

func (f *fakeAWS) stop() { _ = f.server.Close() }

// environ is what points a node at f. The node's name is its access key.
func (f *fakeAWS) environ(node string) []string {
	return []string{"AWS_ENDPOINT_URL=" + f.url, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=" + node, "AWS_SECRET_ACCESS_KEY=none", "AWS_EC2_METADATA_DISABLED=true"}
}

// ServeHTTP answers one call.
func (f *fakeAWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	if r.URL.Path == "/" {
		f.assume(w, r, string(body))
		return
	}
	if f.delay > 0 {
		select {
		case <-time.After(f.delay):
		case <-r.Context().Done():
		}
	}
	call := fakeCall{Bucket: strings.Trim(r.URL.Path, "/"), Began: began}
	// The session's key says whose it is: "NODE/SESSION".
	if _, after, ok := strings.Cut(r.Header.Get("X-Amz-Security-Token"), "token:"); ok {
		call.Node, call.Session, _ = strings.Cut(after, "/")
	}
	status, text := f.bucket(&call, r.Method, r.URL.Query(), string(body))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // a client that went away needs no answer
	call.Ended = time.Now()
	f.mu.Lock()
	f.calls = append(f.calls, call)
	f.mu.Unlock()
}

func (f *fakeAWS) assume(w http.ResponseWriter, r *http.Request, body string) {
	form, _ := url.ParseQuery(body) // an odd one has no session and is refused by name
	node := ""
	if _, after, ok := strings.Cut(r.Header.Get("Authorization"), "Credential="); ok {
		node, _, _ = strings.Cut(after, "/")
	}
	_, _ = fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ASIAFAKE</AccessKeyId>`+
		`<SecretAccessKey>none</SecretAccessKey><SessionToken>token:%s/%s</SessionToken><Expiration>%s</Expiration></Credentials>`+
		`<AssumedRoleUser><AssumedRoleId>AROAFAKE:x</AssumedRoleId><Arn>%s</Arn></AssumedRoleUser></AssumeRoleResult>`+
		`<ResponseMetadata><RequestId>fake</RequestId></ResponseMetadata></AssumeRoleResponse>`,
		node, form.Get("RoleSessionName"), time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		strings.Replace(form.Get("RoleArn"), ":role/", ":assumed-role/", 1)+"/x")
}

const (
	openACL = `<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>owner</ID></Owner><AccessControlList>` +
		`<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>owner</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant>` +
		`<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee><Permission>READ</Permission></Grant>` +
		`</AccessControlList></AccessControlPolicy>`
	openPolicy = `{"Version":"2012-10-17","Statement":[{"Sid":"EveryoneReads","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::%[1]s/*"},` +
		`{"Sid":"SecurityTeamReads","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:root"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::%[1]s/*"}]}`
)

// bucket answers a call of S3.
func (f *fakeAWS) bucket(call *fakeCall, method string, query url.Values, body string) (int, string) {
	if strings.HasSuffix(call.Bucket, "configuration/publicAccessBlock") { // of an account: there is none
		call.Operation = "GetPublicAccessBlock"
		return http.StatusNotFound, "<Error><Code>NoSuchPublicAccessBlockConfiguration</Code><Message>there is none</Message></Error>"
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.buckets[call.Bucket]
	if b == nil {
		b = &fakeBucket{policy: fmt.Sprintf(openPolicy, call.Bucket), acl: openACL}
		f.buckets[call.Bucket] = b
	}
	verb := map[string]string{http.MethodGet: "Get", http.MethodPut: "Put", http.MethodDelete: "Delete"}[method]
	var at *string
	absent := ""
	switch {
	case query.Has("publicAccessBlock"):
		call.Operation, at, absent = verb+"PublicAccessBlock", &b.block, "NoSuchPublicAccessBlockConfiguration"
	case query.Has("policy"):
		call.Operation, at, absent = verb+"BucketPolicy", &b.policy, "NoSuchBucketPolicy"
	case query.Has("acl"):
		call.Operation, at = verb+"BucketAcl", &b.acl
	default:
		call.Operation = verb + "Unknown"
		return http.StatusNotImplemented, "<Error><Code>NotImplemented</Code><Message>the fake knows no such call</Message></Error>"
	}
	switch verb {
	case "Put":
		*at = body
		return http.StatusOK, ""
	case "Delete":
		*at = ""
		return http.StatusNoContent, ""
	}
	if *at == "" {
		return http.StatusNotFound, "<Error><Code>" + absent + "</Code><Message>there is none</Message></Error>"
	}
	return http.StatusOK, *at
}

// log gives the calls so far.
func (f *fakeAWS) log() []fakeCall {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]fakeCall(nil), f.calls...)
}
