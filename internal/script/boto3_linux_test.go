package script_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/script"
)

// answers is a Caller that knows an answer for some operations.
type answers map[string]func(c apimodel.Call) (map[string]any, error)

func (a answers) call(_ context.Context, c apimodel.Call) (apimodel.Reply, error) {
	f := a[c.Operation]
	if f == nil {
		return apimodel.Reply{}, fmt.Errorf("nobody asked for %s", c)
	}
	out, err := f(c)
	return apimodel.Reply{Output: out}, err
}

func gives(out map[string]any) func(apimodel.Call) (map[string]any, error) {
	return func(apimodel.Call) (map[string]any, error) { return out, nil }
}

func fails(err error) func(apimodel.Call) (map[string]any, error) {
	return func(apimodel.Call) (map[string]any, error) { return nil, err }
}

// TestBoto3IsAsScriptsKnowIt holds what scripts use of boto3, beyond plain calls,
// against a Caller that answers as the gate does.
func TestBoto3IsAsScriptsKnowIt(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 600_000_000, time.UTC)
	polls := map[string]int{}
	var mu sync.Mutex
	caller := answers{
		"DescribeInstances": func(c apimodel.Call) (map[string]any, error) {
			if c.Input["NextToken"] == nil {
				return map[string]any{"Reservations": []any{map[string]any{"ReservationId": "r-1"}}, "NextToken": "more"}, nil
			}
			return map[string]any{"Reservations": []any{map[string]any{"ReservationId": "r-2"}}}, nil
		},
		"DescribeDBInstances": func(c apimodel.Call) (map[string]any, error) {
			mu.Lock()
			defer mu.Unlock()
			polls[c.Region]++
			return map[string]any{"DBInstances": []any{map[string]any{"DBInstanceStatus": map[bool]string{true: "available", false: "creating"}[polls[c.Region] > 1]}}}, nil
		},
		"GetObject": gives(map[string]any{"Body": []byte("line 1\nline 2\n"), "LastModified": at, "ContentLength": int64(14), "Metadata": map[string]any{"$odd": "kept"}}),
		"GetRole":   fails(&apimodel.APIError{Service: "iam", Operation: "GetRole", Code: "NoSuchEntity", Message: "gone", HTTPStatus: 404, RequestID: "q", Members: map[string]any{"Extra": "x"}}),
		"PutObject": func(c apimodel.Call) (map[string]any, error) {
			return map[string]any{"ETag": fmt.Sprintf("%s:%T", c.Input["Body"], c.Input["Body"])}, nil
		},
		"HeadObject": gives(map[string]any{"ContentLength": int64(3)}),
		"RunInstances": func(c apimodel.Call) (map[string]any, error) {
			return map[string]any{"OwnerId": fmt.Sprint(c.Input["UserData"], c.Input["ClientToken"])}, nil
		},
		"CopyObject": func(c apimodel.Call) (map[string]any, error) {
			return map[string]any{"VersionId": fmt.Sprint(c.Input["CopySource"])}, nil
		},
		"LookupEvents": func(c apimodel.Call) (map[string]any, error) {
			return map[string]any{"NextToken": fmt.Sprintf("%v", c.Input["StartTime"])}, nil
		},
		"GetItem": gives(map[string]any{"Item": map[string]any{"n": map[string]any{"N": "12345678901234567890.5"}, "b": map[string]any{"B": []byte{0, 255}}, "s": map[string]any{"SS": []any{"x"}}}}),
		"PutItem": func(c apimodel.Call) (map[string]any, error) {
			return map[string]any{"Attributes": c.Input["Item"]}, nil
		},
		"AssumeRole": gives(map[string]any{"Credentials": map[string]any{"AccessKeyId": "ASIAMINTED0000000000", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": at}}),
		"ListBuckets": func(c apimodel.Call) (map[string]any, error) {
			return map[string]any{"Owner": map[string]any{"ID": c.As + "|" + c.Account}}, nil
		},
		"DescribeVpcs":   fails(fault.Errorf(fault.Invalid, "call ec2", "the gate refused a member")),
		"DescribeHosts":  fails(fault.Transient(errors.New("AWS cannot be reached"), 0)),
		"DescribeTags":   fails(errors.New("broken")),
		"DescribeImages": gives(map[string]any{"Images": []any{map[string]any{"BlockDeviceMappings": nil, "Tags": []any{}}}}),
		"GetMetricData":  gives(map[string]any{"MetricDataResults": []any{map[string]any{"Values": []any{1.0, 0.1, 2e300}, "Timestamps": []any{at}}}}),
	}
	cases := map[string]struct {
		body string
		want any
	}{
		"paginator":        {"[p['Reservations'][0]['ReservationId'] for p in boto3.client('ec2').get_paginator('describe_instances').paginate(PaginationConfig={'PageSize': 5})]", []any{"r-1", "r-2"}},
		"waiter":           {"boto3.client('rds').get_waiter('db_instance_available').wait(DBInstanceIdentifier='x', WaiterConfig={'Delay': 0, 'MaxAttempts': 3})", nil},
		"stream":           {"[get()['Body'].read(6).decode(), [l.decode() for l in get()['Body'].iter_lines()], json.loads(b'1'), type(get()['Body']).__name__]", []any{"line 1", []any{"line 1", "line 2"}, int64(1), "StreamingBody"}},
		"time":             {"[get()['LastModified'].isoformat(), str(get()['LastModified'].tzinfo), get()['Metadata']['$odd']]", []any{"2026-01-02T03:04:05.600000+00:00", "tzutc()", "kept"}},
		"client exception": {"missing()", []any{"NoSuchEntityException", "An error occurred (NoSuchEntity) when calling the GetRole operation: gone", "x", "q"}},
		"validation":       {"[kind(lambda: boto3.client('s3').put_object(Bucket='b')), kind(lambda: boto3.client('ec2').describe_instances(Nope=1)), kind(lambda: boto3.client('s3').get_object(Bucket='no/slash', Key='k')), kind(lambda: boto3.client('ec2').describe_instances(InstanceIds={'set'}))]", []any{"ParamValidationError", "ParamValidationError", "ParamValidationError", "ParamValidationError"}},
		"no such method":   {"kind(lambda: boto3.client('ec2').nope())", "AttributeError"},
		"no such service":  {"kind(lambda: boto3.client('nope'))", "UnknownServiceError"},
		"body":             {"[boto3.client('s3').put_object(Bucket='b', Key='k', Body=x)['ETag'] for x in ('text', b'bytes', io.BytesIO(b'file'), bytearray(b'array'))]", []any{"text:string", "bytes:[]uint8", "file:[]uint8", "array:[]uint8"}},
		"upload":           {"boto3.client('s3').upload_fileobj(io.BytesIO(b'abc'), 'b', 'k')", nil},
		"download":         {"download()", "line 1\nline 2\n"},
		"user data":        {"boto3.client('ec2').run_instances(MinCount=1, MaxCount=1, UserData='#!/bin/sh')['OwnerId']", "#!/bin/sh<nil>"},
		"copy source":      {"boto3.client('s3').copy_object(Bucket='b', Key='k', CopySource={'Bucket': 'a', 'Key': 'x y'})['VersionId']", "map[Bucket:a Key:x y]"},
		"time input":       {"boto3.client('cloudtrail').lookup_events(StartTime=datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2))))['NextToken']", "2026-01-01 22:00:00 +0000 UTC"},
		"dynamodb":         {"dynamo()", []any{"Decimal('12345678901234567890.5')", "Binary(b'\\x00\\xff')", "{'x'}", "{'a': Decimal('1.5'), 'l': [None, True]}"}},
		"resource":         {"[b.name for b in [boto3.resource('s3').Bucket('x')]] + [boto3.resource('s3').Object('b', 'k').get()['ContentLength']]", []any{"x", int64(14)}},
		"identity":         {"identity()", []any{"|111122223333", "ASIAMINTED0000000000|", "ASIAMINTED0000000000|", "|111122223333"}},
		"no credentials":   {"[boto3.Session().get_credentials().access_key, os.environ['AWS_ACCESS_KEY_ID']]", []any{"PARRYSANDBOX", "PARRYSANDBOX"}},
		"gate's refusal":   {"text(lambda: boto3.client('ec2').describe_vpcs())", "ParamValidationError: Parameter validation failed:\ncall ec2: the gate refused a member"},
		"unreachable":      {"text(lambda: boto3.client('ec2').describe_hosts())", "ConnectionError: An HTTP Client failed to establish a connection: AWS cannot be reached"},
		"gate breaks":      {"text(lambda: boto3.client('ec2').describe_tags())", "ParrySandboxError: ParrySandboxError: broken"},
		"presigned":        {"text(lambda: boto3.client('s3').generate_presigned_url('get_object', Params={'Bucket': 'b', 'Key': 'k'}))", "ParrySandboxError: ParrySandboxError: a presigned URL is not available in a script's sandbox: scripts reach AWS through boto3 only, and boto3 through Parry"},
		"presigned post":   {"kind(lambda: boto3.client('s3').generate_presigned_post('b', 'k'))", "ParrySandboxError"},
		"event stream":     {"kind(lambda: boto3.client('s3').select_object_content(Bucket='b', Key='k', Expression='x', ExpressionType='SQL', InputSerialization={}, OutputSerialization={}))", "ParrySandboxError"},
		"none and empty":   {"boto3.client('ec2').describe_images()['Images']", []any{map[string]any{"BlockDeviceMappings": nil, "Tags": []any{}}}},
		"floats":           {"[repr(v) for v in boto3.client('cloudwatch').get_metric_data(MetricDataQueries=[], StartTime=0, EndTime='2026-01-01')['MetricDataResults'][0]['Values']]", []any{"1.0", "0.1", "2e+300"}},
		"events":           {"handlers()", []any{"describe_images", "DescribeImages"}},
		"config":           {"boto3.client('ec2', config=Config(retries={'max_attempts': 9}, region_name='ap-south-1'), endpoint_url='https://x.example.com').meta.region_name", "ap-south-1"},
		"regions":          {"'eu-west-1' in boto3.Session().get_available_regions('ec2')", true},
		"threads":          {"threads()", []any{int64(30), "line 1\nline 2\n"}},
		"asyncio":          {"asyncio.run(coro())", int64(7)},
		"modules":          {"modules()", []any{}},
	}
	source := `
import asyncio, boto3, botocore, concurrent.futures, datetime, io, json, os, tempfile
from botocore.config import Config
def get(): return boto3.client('s3').get_object(Bucket='b', Key='k')
def kind(f):
    try:
        return f()
    except Exception as e:
        return type(e).__name__
def text(f):
    try:
        return f()
    except Exception as e:
        return type(e).__name__ + ': ' + str(e)
def missing():
    iam = boto3.client('iam')
    try:
        iam.get_role(RoleName='r')
    except iam.exceptions.NoSuchEntityException as e:
        return [type(e).__name__, str(e), e.response['Extra'], e.response['ResponseMetadata']['RequestId']]
def download():
    path = os.path.join(tempfile.gettempdir(), 'f')
    with open(path, 'wb') as f:
        f.write(get()['Body'].read())
    with open(path) as f:
        return f.read()
def dynamo():
    from decimal import Decimal
    table = boto3.resource('dynamodb').Table('t')
    item = table.get_item(Key={'k': 'v'})['Item']
    back = table.put_item(Item={'a': Decimal('1.5'), 'l': [None, True]})['Attributes']
    return [repr(item['n']), repr(item['b']), repr(item['s']), repr(back)]
def identity():
    c = boto3.client('sts').assume_role(RoleArn='arn:aws:iam::444455556666:role/r', RoleSessionName='session')['Credentials']
    keys = dict(aws_access_key_id=c['AccessKeyId'], aws_secret_access_key=c['SecretAccessKey'], aws_session_token=c['SessionToken'])
    clients = [boto3.client('s3'), boto3.client('s3', **keys), boto3.Session(**keys).client('s3'), boto3.Session().client('s3')]
    return [c.list_buckets()['Owner']['ID'] for c in clients]
def handlers():
    seen = []
    ec2 = boto3.client('ec2')
    ec2.meta.events.register('provide-client-params.ec2.DescribeImages', lambda params, model, **kw: seen.append('describe_images'))
    ec2.meta.events.register('after-call.ec2.DescribeImages', lambda model, parsed, **kw: seen.append(model.name))
    ec2.describe_images()
    return seen
def threads():
    s3 = boto3.client('s3')
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        got = list(pool.map(lambda i: s3.get_object(Bucket='b', Key=str(i))['Body'].read().decode(), range(30)))
    return [len(got), got[7]]
async def coro():
    await asyncio.sleep(0.01)
    return 7
def modules():
    import importlib
    wrong = []
    for name in 'time logging random typing dateutil sys uuid re operator math string concurrent.futures subprocess ipaddress urllib.request socket csv hashlib hmac zlib gzip sqlite3 ssl xml.etree.ElementTree statistics fnmatch difflib ast inspect dataclasses enum itertools multiprocessing queue secrets email http.client bz2 lzma zoneinfo'.split():
        try:
            importlib.import_module(name)
        except Exception as e:
            wrong.append(name + ': ' + repr(e))
    return wrong
def handler(events, context):
    return eval(events)
`
	levels(t, func(t *testing.T, r *script.Runner) {
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				region := map[script.Level]string{script.Namespaces: "eu-west-1", script.Landlock: "eu-west-2"}[r.Level()]
				got := value(t, run(t, r, script.Job{Account: "111122223333", Region: region, Payload: c.body, Source: source, Call: caller.call}))
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("result (-want +got):\n%s", diff)
				}
			})
		}
	})
}

func TestStopEndsTheScriptWhateverItCatches(t *testing.T) {
	held := &heldError{}
	levels(t, func(t *testing.T, r *script.Runner) {
		for name, stop := range map[string]error{
			"denied": fault.Errorf(fault.Denied, "call", "the plan does not hold it"), "conflict": fault.Errorf(fault.Conflict, "call", "the resource differs"), "held": fmt.Errorf("call: %w", held),
		} {
			var calls atomic.Int32
			got := run(t, r, script.Job{Call: func(context.Context, apimodel.Call) (apimodel.Reply, error) {
				calls.Add(1)
				return apimodel.Reply{}, stop
			}, Source: `
import boto3
def handler(events, context):
    while True:
        try:
            boto3.client("s3").delete_bucket(Bucket="b")
        except BaseException:
            pass
`})
			if got.Failure == nil || !errors.Is(got.Failure.Stop, stop) || calls.Load() != 1 {
				t.Errorf("%s: %d calls, failure %+v", name, calls.Load(), got.Failure)
			}
		}
	})
}

type heldError struct{}

func (*heldError) Error() string       { return "the stop switch is on" }
func (*heldError) Held() time.Duration { return time.Minute }

func TestPlanningDoesNotWait(t *testing.T) {
	caller := answers{"DescribeDBInstances": gives(map[string]any{"DBInstances": []any{map[string]any{"DBInstanceStatus": "creating"}}})}
	levels(t, func(t *testing.T, r *script.Runner) {
		job := script.Job{Planning: true, Call: caller.call, Timeout: 10 * time.Second, Source: `
import boto3, time
def handler(events, context):
    time.sleep(3600)
    boto3.client("rds").get_waiter("db_instance_available").wait(DBInstanceIdentifier="x")
    return "planned"
`}
		if got := value(t, run(t, r, job)); got != "planned" {
			t.Errorf("payload %v", got)
		}
	})
}

func TestCallsAndAnswersHaveLimits(t *testing.T) {
	t.Parallel()
	r := newRunner(t, script.Config{Python: pythonPath(t), Limits: script.Limits{Calls: 3, Request: 20_000, Reply: 50_000}})
	t.Cleanup(func() { _ = r.Stop(context.Background()) })
	caller := answers{
		"ListBuckets": gives(map[string]any{}), "GetObject": gives(map[string]any{"Body": []byte(strings.Repeat("x", 60_000))}), "PutObject": gives(map[string]any{}),
	}
	for body, want := range map[string]string{
		"[s3.list_buckets() for _ in range(4)]":                 "calls: the script made more than 3 AWS calls",
		"s3.get_object(Bucket='b', Key='k')":                    ": the answer to s3:GetObject has 80",
		"s3.put_object(Bucket='b', Key='k', Body=b'x' * 30000)": ": the message has",
	} {
		got := run(t, r, script.Job{Call: caller.call, Source: "import boto3\ns3 = boto3.client('s3')\ndef handler(e, c):\n    return " + body + "\n"})
		if got.Failure == nil || !strings.Contains(got.Failure.Limit+": "+strings.TrimPrefix(got.Failure.Message, "ParrySandboxError: "), want) {
			t.Errorf("%s: %+v", body, got.Failure)
		}
	}
}
