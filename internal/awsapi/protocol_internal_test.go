package awsapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
)

func catalog(t testing.TB) *apimodel.Catalog {
	t.Helper()
	c, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// speak gives the runtime of an operation, in the service's own protocol or in
// another that it understands.
func speak(t testing.TB, c *apimodel.Catalog, service, operation, protocol string) (*runtime, *operationRuntime) {
	t.Helper()
	s, op, err := c.Find(service, operation)
	if err != nil {
		t.Fatal(err)
	}
	if protocol == "" {
		protocol = s.Protocol
	}
	rt, err := newRuntime(s, protocol)
	if err != nil {
		t.Fatal(err)
	}
	o, err := rt.operation(op)
	if err != nil {
		t.Fatal(err)
	}
	return rt, o
}

// TestCBORGoesThereAndBack writes and reads the one protocol that no service
// needs today: botocore prefers JSON wherever a service understands both.
func TestCBORGoesThereAndBack(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	rt, o := speak(t, c, "cloudwatch", "PutMetricAlarm", "smithy-rpc-v2-cbor")
	m, err := rt.write(t.Context(), o, map[string]any{
		"AlarmName": "a", "Period": 60, "Threshold": 1.5, "ActionsEnabled": true, "AlarmActions": []any{"x", "y"},
		"Dimensions": []any{map[string]any{"Name": "n", "Value": "v"}}, "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold",
	})
	if err != nil {
		t.Fatal(err)
	}
	if m.path != "/service/GraniteServiceVersion20100801/operation/PutMetricAlarm" || m.header.Get("Smithy-Protocol") != "rpc-v2-cbor" {
		t.Errorf("path %s, headers %v", m.path, m.header)
	}
	// The answer's shape has the same members, so what was written is an answer.
	s, op, err := c.Find("cloudwatch", "PutMetricAlarm")
	if err != nil {
		t.Fatal(err)
	}
	echo := *op
	echo.Output = op.Input
	rt2, err := newRuntime(s, "smithy-rpc-v2-cbor")
	if err != nil {
		t.Fatal(err)
	}
	o2, err := rt2.operation(&echo)
	if err != nil {
		t.Fatal(err)
	}
	got, err := rt2.read(t.Context(), o2, answer{status: 200, header: http.Header{}, body: m.body})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"AlarmName": "a", "Period": int64(60), "Threshold": 1.5, "ActionsEnabled": true, "AlarmActions": []any{"x", "y"},
		"Dimensions": []any{map[string]any{"Name": "n", "Value": "v"}}, "EvaluationPeriods": int64(1), "ComparisonOperator": "GreaterThanThreshold",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	e := rt.readError(t.Context(), o, answer{status: 400, header: http.Header{}, body: []byte("\xa1f__typeqcom.amazonaws#Bad!")})
	if e.Code == "" {
		t.Errorf("got %v", e)
	}
}

func TestAnswersThatAreNotQuiteOfTheModel(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	when := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	for name, tc := range map[string]struct {
		service, operation, body string
		headers                  http.Header
		want                     map[string]any
	}{
		"json null":          {"organizations", "DescribeOrganization", "null", nil, map[string]any{}},
		"json empty":         {"organizations", "DescribeOrganization", "", nil, map[string]any{}},
		"json null member":   {"organizations", "DescribeOrganization", `{"Organization":null}`, nil, map[string]any{}},
		"json number as id":  {"organizations", "DescribeOrganization", `{"Organization":{"Id":5}}`, nil, map[string]any{"Organization": map[string]any{"Id": int64(5)}}},
		"json time as text":  {"secretsmanager", "DescribeSecret", `{"CreatedDate":"2024-05-06T07:08:09Z"}`, nil, map[string]any{"CreatedDate": when}},
		"json time as float": {"secretsmanager", "DescribeSecret", `{"CreatedDate":1714979289.0,"LastChangedDate":1714979289}`, nil, map[string]any{"CreatedDate": when, "LastChangedDate": when}},
		"json null in list":  {"ecs", "ListClusters", `{"clusterArns":["a",null],"unknown":{"x":[1]}}`, nil, map[string]any{"clusterArns": []any{"a", nil}}},
		"json NaN":           {"machinelearning", "Predict", `{"Prediction":{"predictedValue":"Infinity"}}`, nil, map[string]any{"Prediction": map[string]any{"predictedValue": "Infinity"}}},
		"rest-json truth":    {"iot", "DescribeAuditFinding", `{"finding":{"reasonForNonComplianceCode":7,"isSuppressed":"true"}}`, nil, map[string]any{"finding": map[string]any{"reasonForNonComplianceCode": int64(7), "isSuppressed": true}}},
		"rest-json numbers":  {"glacier", "DescribeVault", `{"NumberOfArchives":"7","SizeInBytes":8.0}`, nil, map[string]any{"NumberOfArchives": int64(7), "SizeInBytes": int64(8)}},
		"xml scattered list": {"s3", "ListObjectsV2", `<R><Contents><Key>a</Key></Contents><KeyCount>2</KeyCount><Contents><Key>b</Key><Size>7</Size></Contents></R>`, nil, map[string]any{"Contents": []any{map[string]any{"Key": "a"}, map[string]any{"Key": "b", "Size": int64(7)}}, "KeyCount": int64(2)}},
		"xml empty number":   {"s3", "ListObjectsV2", `<R><KeyCount></KeyCount><Name/></R>`, nil, map[string]any{"Name": ""}},
		"header and no body": {"s3", "HeadObject", "", http.Header{"Content-Length": {"5"}, "Last-Modified": {"Mon, 06 May 2024 07:08:09 GMT"}, "X-Amz-Meta-A": {"b"}}, map[string]any{"ContentLength": int64(5), "LastModified": when, "Metadata": map[string]any{"a": "b"}}},
		"empty text payload": {"s3", "GetBucketPolicy", "", nil, map[string]any{"Policy": ""}},
		"blob payload":       {"lambda", "Invoke", "\x00\x01{", http.Header{"X-Amz-Function-Error": {"Unhandled"}}, map[string]any{"Payload": []byte("\x00\x01{"), "FunctionError": "Unhandled", "StatusCode": int64(200)}},
		"query":              {"sts", "GetCallerIdentity", `<GetCallerIdentityResponse><GetCallerIdentityResult><Account>1</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`, nil, map[string]any{"Account": "1"}},
		"ec2 set":            {"ec2", "DescribeVpcs", `<DescribeVpcsResponse><vpcSet><item><vpcId>v</vpcId><isDefault>true</isDefault><tagSet/></item></vpcSet></DescribeVpcsResponse>`, nil, map[string]any{"Vpcs": []any{map[string]any{"VpcId": "v", "IsDefault": true, "Tags": []any{}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt, o := speak(t, c, tc.service, tc.operation, "")
			if tc.headers == nil {
				tc.headers = http.Header{}
			}
			got, err := rt.read(t.Context(), o, answer{status: 200, header: tc.headers, body: []byte(tc.body)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDeepAnswersAreRefused(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	rt, o := speak(t, c, "dynamodb", "GetItem", "")
	item := strings.Repeat(`{"L":[`, 5000) + strings.Repeat(`]}`, 5000)
	if _, err := rt.read(t.Context(), o, answer{status: 200, header: http.Header{}, body: []byte(`{"Item":{"a":` + item + `}}`)}); err == nil {
		t.Error("JSON nested 10,000 deep was read")
	}
	if !shallow([]byte(`{"a":"[[[[\"[["}`)) || shallow([]byte(strings.Repeat("[", maxDepth+1))) {
		t.Error("nesting is miscounted")
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	want := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	for _, text := range []string{
		"2024-05-06T07:08:09Z", "2024-05-06T07:08:09.000Z", "2024-05-06T09:08:09+02:00", "2024-05-06T07:08:09", "2024-05-06T07:08:09+0000",
		"2024-05-06 07:08:09", "20240506T070809Z", "Mon, 06 May 2024 07:08:09 GMT", "Mon, 6 May 2024 07:08:09 GMT", "Mon, 06 May 2024 07:08:09 +0000",
		"1714979289", "1714979289.0", " 1714979289 ", "1.714979289e9",
	} {
		if got, ok := parseTime(text); !ok || !got.Equal(want) {
			t.Errorf("%q: got %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "yesterday", "NaN", "Inf", "1e300", "2024-13-01"} {
		if got, ok := parseTime(text); ok {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

// fuzzed are operations that between them use every protocol and every kind of
// member.
var fuzzed = [...]struct{ service, operation, protocol string }{
	{"dynamodb", "GetItem", ""},
	{"securityhub", "GetFindings", ""},
	{"s3", "GetBucketAcl", ""},
	{"s3", "ListObjectsV2", ""},
	{"s3", "GetBucketLocation", ""},
	{"iam", "GetRole", ""},
	{"sns", "GetTopicAttributes", ""},
	{"ec2", "DescribeInstances", ""},
	{"cloudwatch", "DescribeAlarms", "smithy-rpc-v2-cbor"},
	{"lambda", "Invoke", ""},
	{"bedrock-agent", "GetFlow", ""},
}

func FuzzAnswer(f *testing.F) {
	c := catalog(f)
	type pair struct {
		rt *runtime
		o  *operationRuntime
	}
	var all []pair
	for _, s := range fuzzed {
		rt, o := speak(f, c, s.service, s.operation, s.protocol)
		all = append(all, pair{rt, o})
	}
	for i, body := range []string{
		`{"Item":{"a":{"M":{"b":{"L":[{"N":"1"},{"B":"AA=="},null]}}}}}`, `{"Findings":[{"Severity":{"Normalized":1}}]}`,
		`<AccessControlPolicy><Owner><ID>a</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi="u" xsi:type="Group"><URI>x</URI></Grantee></Grant></AccessControlList></AccessControlPolicy>`,
		`<R><Contents><Key>a</Key></Contents></R>`, `<LocationConstraint>eu-west-1</LocationConstraint>`,
		`<GetRoleResponse><GetRoleResult><Role><Tags><member><Key>k</Key></member></Tags></Role></GetRoleResult></GetRoleResponse>`,
		`<X><GetTopicAttributesResult><Attributes><entry><key>a</key><value>b</value></entry></Attributes></GetTopicAttributesResult></X>`,
		`<DescribeInstancesResponse><reservationSet><item/></reservationSet></DescribeInstancesResponse>`, "\xa1lMetricAlarms\x80", "\x00", `{"definition":{"nodes":[]}}`,
		"", "null", "[]", "<", "<html>", `{"__type":"a#b","message":1}`, "\xbf\xff", "<Error><Code>x</Code></Error>",
	} {
		f.Add(uint8(i), uint16(200), []byte(body))
		f.Add(uint8(i), uint16(400), []byte(body))
	}
	f.Fuzz(func(t *testing.T, which uint8, status uint16, body []byte) {
		p := all[int(which)%len(all)]
		a := answer{status: int(status), header: http.Header{}, body: body}
		if status >= 200 && status < 300 {
			_, _ = p.rt.read(t.Context(), p.o, a)
			p.rt.isHiddenError(p.o, a)
			return
		}
		if e := p.rt.readError(t.Context(), p.o, a); e.Code == "" {
			t.Error("an error without a code")
		}
	})
}
