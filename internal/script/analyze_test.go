package script_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/script"
)

func TestAnalyzeFindsCalls(t *testing.T) {
	t.Parallel()
	type call = script.FactCall
	cases := map[string]struct {
		source string
		want   []call
		gaps   int
	}{
		"variable":          {"import boto3\ndef h(e, c):\n    s3 = boto3.client('s3')\n    s3.put_bucket_policy(Bucket='b')\n", []call{{"s3", "put_bucket_policy", 4}}, 0},
		"chain":             {"import boto3\nboto3.client('sts').get_caller_identity()\n", []call{{"sts", "get_caller_identity", 2}}, 0},
		"from":              {"from boto3 import client as c\nc('ec2', region_name='x').describe_instances()\n", []call{{"ec2", "describe_instances", 2}}, 0},
		"config":            {"import boto3\nfrom botocore.config import Config\nCFG = Config(retries={})\nclient = boto3.client('s3', config=CFG)\nclient.list_buckets()\n", []call{{"s3", "list_buckets", 5}}, 0},
		"session":           {"import boto3\ns = boto3.session.Session()\nt = boto3.Session(region_name='x')\ns.client('iam').list_users()\nt.client(service_name='kms').list_keys()\n", []call{{"iam", "list_users", 4}, {"kms", "list_keys", 5}}, 0},
		"helper":            {"import boto3\ndef get():\n    return boto3.client('iam')\ndef h(e, c):\n    get().delete_role(RoleName='x')\n", []call{{"iam", "delete_role", 5}}, 0},
		"parameter":         {"import boto3\ndef use(client, n):\n    client.stop_instances(InstanceIds=n)\ndef h(e, c):\n    use(boto3.client('ec2'), [])\n", []call{{"ec2", "stop_instances", 3}}, 0},
		"service parameter": {"import boto3\ndef make(service):\n    return boto3.client(service)\nmake('rds').describe_db_instances()\n", []call{{"rds", "describe_db_instances", 4}}, 0},
		"attribute":         {"import boto3\nclass A:\n    def __init__(self, s):\n        self.c = s.client('sns')\n    def go(self):\n        return self.c.publish()\nA(boto3.Session()).go()\n", []call{{"sns", "publish", 6}}, 0},
		"paginator":         {"import boto3\np = boto3.client('ec2').get_paginator('describe_volumes')\nfor page in p.paginate(): pass\n", []call{{"ec2", "describe_volumes", 3}}, 0},
		"waiter":            {"import boto3\nboto3.client('ec2').get_waiter('instance_running').wait(InstanceIds=[])\n", []call{{"ec2", "DescribeInstances", 2}}, 0},
		"cached":            {"import boto3\nCACHE = {}\ndef get(s):\n    if s not in CACHE:\n        CACHE[s] = boto3.client(s)\n    return CACHE[s]\nget('ssm').get_parameter(Name='x')\nget('s3').list_buckets()\n", []call{{"ssm", "get_parameter", 7}, {"s3", "list_buckets", 8}}, 0},
		"two helpers":       {"import boto3\ndef inner(service, region=None):\n    return boto3.client(service, region_name=region)\ndef outer(service):\n    return inner(service_name(), 'x') if 0 else inner(service, region='x')\nouter('ec2').describe_vpcs()\nouter(service='rds').describe_events()\n", []call{{"ec2", "describe_vpcs", 6}, {"rds", "describe_events", 7}}, 1},
		"method":            {"import boto3\nclass A:\n    def c(self, name):\n        return boto3.client(name)\n    def go(self):\n        self.c('iam').list_users()\n        self.c('ec2').describe_vpcs()\nA().go()\n", []call{{"iam", "list_users", 6}, {"ec2", "describe_vpcs", 7}}, 0},
		"inside":            {"import boto3\ndef go(service):\n    boto3.client(service).describe_tags()\ngo('ec2')\ngo('efs')\n", []call{{"ec2", "describe_tags", 3}, {"efs", "describe_tags", 3}}, 0},
		"global":            {"import boto3\nc = None\ndef h(e, x):\n    global c\n    c = boto3.client('logs')\n    other()\ndef other():\n    c.delete_log_group(logGroupName='x')\n", []call{{"logs", "delete_log_group", 8}}, 0},
		"resource":          {"import boto3\nec2 = boto3.resource('ec2')\nfor i in ec2.instances.filter(Filters=[]):\n    i.stop()\nec2.Instance('i').terminate()\n", []call{{"ec2", "DescribeInstances", 3}, {"ec2", "StopInstances", 4}, {"ec2", "TerminateInstances", 5}}, 0},
		"resource client":   {"import boto3\nboto3.resource('s3').meta.client.delete_bucket(Bucket='x')\n", []call{{"s3", "delete_bucket", 2}}, 0},
		"transfer":          {"import boto3\nboto3.client('s3').upload_file('a', 'b', 'c')\n", []call{{"s3", "put_object", 2}}, 0},
		"bound":             {"import boto3\nf = boto3.client('ec2').describe_vpcs\nf()\n", []call{{"ec2", "describe_vpcs", 3}}, 0},
		"getattr":           {"import boto3\nc = boto3.client('ec2')\ngetattr(c, 'describe_vpcs')()\ngetattr(c, x)()\n", []call{{"ec2", "describe_vpcs", 3}}, 1},
		"threads":           {"import boto3\nfrom concurrent.futures import ThreadPoolExecutor\ndef work(c):\n    c.list_roles()\nwith ThreadPoolExecutor() as ex:\n    ex.submit(work, boto3.client('iam'))\n", []call{{"iam", "list_roles", 4}}, 0},
		"lambda":            {"import boto3\ng = lambda: boto3.client('sqs')\ng().list_queues()\n", []call{{"sqs", "list_queues", 3}}, 0},
		"not known":         {"import boto3\ndef h(e, c):\n    boto3.client(e['s']).x()\n", nil, 1},
		"eval":              {"eval('1')\n", nil, 1},
		"local":             {"def h(e, c):\n    import boto3 as b\n    x = b.client('ec2') if e else None\n    return x.describe_images()\n", []call{{"ec2", "describe_images", 4}}, 0},
		"no boto3":          {"import json\ndef h(e, c):\n    return json.dumps(e)\n", nil, 0},
		"loop":              {"import boto3\nfor s in ['ec2', 'rds']:\n    boto3.client(s).describe_tags()\n", []call{{"ec2", "describe_tags", 3}, {"rds", "describe_tags", 3}}, 0},
	}
	sources := map[string]string{}
	for name, c := range cases {
		sources[name] = c.source
	}
	facts, err := script.Analyze(t.Context(), pythonPath(t), sources)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range cases {
		f := facts[name]
		if f.Error != nil {
			t.Errorf("%s: %+v", name, *f.Error)
			continue
		}
		got := f.Calls
		if len(got) == 0 {
			got = nil
		}
		if diff := cmp.Diff(c.want, got); diff != "" || len(f.Unresolved) != c.gaps {
			t.Errorf("%s: gaps %v, calls (-want +got):\n%s", name, f.Unresolved, diff)
		}
	}
}

func TestAnalyzeOutlivesOddSources(t *testing.T) {
	t.Parallel()
	facts, err := script.Analyze(t.Context(), pythonPath(t), map[string]string{
		"syntax": "def f(:\n    pass\n", "null": "a = 1\x00", "deep": strings.Repeat("(", 5000) + strings.Repeat(")", 5000), "deeper": "x = " + strings.Repeat("-", 400_000) + "1",
		"attributes": "x" + strings.Repeat(".a", 50_000), "python 2": "print 'x'\n", "empty": "", "surrogate": "x = '\xff'\n", "large": strings.Repeat("#", script.MaxSource+1),
		"circle": "def f(x):\n    return f(f)\ny = f(f)\nf.f = f\n", "after": "import json, os.path\nfrom . import x\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, parses := range map[string]bool{"syntax": false, "null": false, "deep": false, "deeper": false, "python 2": false, "empty": true, "large": false, "circle": true, "after": true} {
		if got := facts[name].Error == nil; got != parses {
			t.Errorf("%s: error %+v", name, facts[name].Error)
		}
	}
	if e := facts["syntax"].Error; e == nil || e.Line != 1 || e.Column < 6 || e.Message == "" {
		t.Errorf("syntax error %+v", e)
	}
	if diff := cmp.Diff([]string{"json", "os"}, facts["after"].Imports); diff != "" {
		t.Errorf("imports (-want +got):\n%s", diff)
	}
}

// TestAnalyzeCorpus reads the scripts of published runbooks, where they have been
// laid out.
func TestAnalyzeCorpus(t *testing.T) {
	dir := os.Getenv("PARRY_CORPUS_DIR")
	if dir == "" {
		t.Skip("PARRY_CORPUS_DIR is not set")
	}
	sources := map[string]string{}
	files, err := filepath.Glob(filepath.Join(dir, "scripts", "*.py"))
	if err != nil || len(files) == 0 {
		t.Skip("no scripts there")
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		sources[f] = string(raw)
	}
	facts, err := script.Analyze(t.Context(), pythonPath(t), sources)
	if err != nil {
		t.Fatal(err)
	}
	for f, got := range facts {
		if strings.Contains(sources[f], "boto3.client(") && got.Error == nil && len(got.Calls)+len(got.Unresolved) == 0 {
			t.Errorf("%s makes clients and calls nothing", f)
		}
	}
}

// TestAnalyzeFindsReturnedLists counts what is written, by the function that returns
// it, and neither what is unpacked nor what other functions within return.
func TestAnalyzeFindsReturnedLists(t *testing.T) {
	t.Parallel()
	long := "[" + strings.Repeat("1, ", 101) + "]"
	source := "def main(e, c):\n    if e:\n        return " + long + "\n    def inner():\n        return [1, 2, 3, 4]\n    f = lambda: [1]\n    return (1, *e, 2)\n\nasync def other():\n    return []\n\nclass A:\n    def main(self):\n        return " + long + "\n"
	facts, err := script.Analyze(t.Context(), pythonPath(t), map[string]string{"s": source, "many": strings.Repeat("def f():\n    return []\n", 200)})
	if err != nil {
		t.Fatal(err)
	}
	want := []script.FactList{{Function: "main", Line: 3, Items: 101}, {Function: "main", Line: 7, Items: 2}, {Function: "other", Line: 10, Items: 0}}
	if diff := cmp.Diff(want, facts["s"].Lists); diff != "" {
		t.Errorf("lists (-want +got):\n%s", diff)
	}
	if n := len(facts["many"].Lists); n != 100 {
		t.Errorf("%d lists are told", n)
	}
}
