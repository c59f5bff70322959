"""Reads what was announced: the messages that reached the topic's queue.

    sns_read.py ESTATE.json [--count N] [--timeout SECONDS]

Prints a JSON list of {"subject", "message"}, oldest first, and takes the messages
off the queue. With --count it waits until there are as many, and ends with
status 1 when there are not in time.
"""

import argparse
import json
import sys
import time

import boto3


def parse(body):
    envelope = json.loads(body)
    message = envelope["Message"]
    try:
        message = json.loads(message)
    except ValueError:
        pass  # announced as plain text
    return {"subject": envelope.get("Subject"), "topic": envelope["TopicArn"], "message": message, "sent": envelope["Timestamp"]}


def main():
    parser = argparse.ArgumentParser(description="read the messages that reached the topic's queue")
    parser.add_argument("estate")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=20)
    args = parser.parse_args()
    with open(args.estate, encoding="utf-8") as f:
        estate = json.load(f)
    security = estate["security"]
    sqs = boto3.client(
        "sqs",
        endpoint_url=estate["endpoint"],
        region_name=estate["region"],
        aws_access_key_id=security["judge"]["access_key_id"],
        aws_secret_access_key=security["judge"]["secret_access_key"],
    )
    out, until = [], time.monotonic() + args.timeout
    while True:
        got = sqs.receive_message(QueueUrl=security["queue_url"], MaxNumberOfMessages=10, WaitTimeSeconds=0).get("Messages", [])
        for m in got:
            out.append(parse(m["Body"]))
            sqs.delete_message(QueueUrl=security["queue_url"], ReceiptHandle=m["ReceiptHandle"])
        if got:
            continue
        if len(out) >= args.count or time.monotonic() > until:
            break
        time.sleep(0.2)
    out.sort(key=lambda m: m["sent"])
    print(json.dumps(out, indent=2))
    return 0 if len(out) >= args.count else 1


if __name__ == "__main__":
    sys.exit(main())
