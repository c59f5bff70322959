"""boto3's side of the contest in test/bench: the same mix of calls as the gate
and aws-sdk-go-v2. Arguments: URL WORKERS SECONDS."""

import json
import resource
import sys
import threading
import time

import boto3
from botocore.config import Config

url, workers, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
session = boto3.Session("AKIAEXAMPLE", "example", region_name="us-east-1")


def client(name, **kw):
    return session.client(name, endpoint_url=url, config=Config(max_pool_connections=workers, **kw))


s3 = client("s3", s3={"addressing_style": "path"})
sts, dynamodb, functions = client("sts"), client("dynamodb"), client("lambda")
block = dict(BlockPublicAcls=True, IgnorePublicAcls=True, BlockPublicPolicy=True, RestrictPublicBuckets=True)
key = {"pk": {"S": "account#111122223333"}, "sk": {"S": "bucket#evidence"}}
mix = [
    lambda: s3.get_public_access_block(Bucket="evidence"),
    lambda: s3.put_public_access_block(Bucket="evidence", PublicAccessBlockConfiguration=block),
    lambda: sts.get_caller_identity(),
    lambda: dynamodb.get_item(TableName="state", Key=key),
    lambda: functions.get_function_configuration(FunctionName="rotate-keys"),
]
for call in mix + mix:  # warm up
    call()


def processor():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


counts, errors = [0] * workers, []


def work(w):
    try:
        while time.monotonic() < end:
            mix[(counts[w] + w) % len(mix)]()
            counts[w] += 1
    except Exception as e:
        errors.append(e)


began, used = time.monotonic(), processor()
end = began + seconds
threads = [threading.Thread(target=work, args=(w,)) for w in range(workers)]
for t in threads:
    t.start()
for t in threads:
    t.join()
if errors:
    raise errors[0]
print(json.dumps({"calls": sum(counts), "seconds": time.monotonic() - began, "cpu": processor() - used}))
