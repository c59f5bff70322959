"""Judges the end state with the members' own credentials. It shares no code with
Parry and never asks it.

    judge.py snapshot ESTATE.json
        prints what is now: Block Public Access, policy, grants, and what an
        anonymous reader gets, for every bucket

    judge.py expect ESTATE.json --dev fixed --prod original
    judge.py expect ESTATE.json --all fixed
        compares it with what should be and prints the differences. fixed: closed
        to the public, everything else as it was. original: exactly as the estate
        was made. The private twins must be as they were in any case.

    judge.py log ESTATE.json WALL.jsonl [--after SEQ] [--untouched dev ...] [--no-repeats]
        judges the wall's request log: no changing call on a private twin, none in
        an untouched member, every change of a member's bucket made by
        ParryMemberRole with a SourceIdentity, none made twice

Exit status: 0 as it should be, 1 not so, 2 wrong usage.
"""

import argparse
import collections
import json
import sys
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

PUBLIC = (
    "http://acs.amazonaws.com/groups/global/AllUsers",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
)
ALL_ON = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}


def client(estate, key):
    return boto3.client(
        "s3",
        endpoint_url=estate["endpoint"],
        region_name=estate["region"],
        aws_access_key_id=key["access_key_id"],
        aws_secret_access_key=key["secret_access_key"],
        config=Config(retries={"total_max_attempts": 3, "mode": "standard"}),
    )


def unless(code, call, **kwargs):
    """The answer of a call, None when AWS says that there is none."""
    try:
        return call(**kwargs)
    except ClientError as err:
        if err.response["Error"]["Code"] == code:
            return None
        raise


def anonymous(estate, path):
    """The status that a reader without credentials gets."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{estate['endpoint']}/{path}", timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as err:
        return err.code


def look(estate, s3, account, bucket, key):
    block = unless("NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block, Bucket=bucket)
    policy = unless("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=bucket)
    acl = s3.get_bucket_acl(Bucket=bucket)
    return {
        "account": account,
        "public_access_block": block and block["PublicAccessBlockConfiguration"],
        "policy": policy and json.loads(policy["Policy"]),
        "owner": acl["Owner"]["ID"],
        "grants": sorted(acl["Grants"], key=lambda g: json.dumps(g, sort_keys=True)),
        "anonymous_get": anonymous(estate, f"{bucket}/{key}"),
        "anonymous_list": anonymous(estate, bucket),
    }


def snapshot(estate):
    out = {}
    for member in estate["members"].values():
        s3 = client(estate, member["judge"])
        for bucket, key in ((member["public_bucket"], "index.html"), (member["private_bucket"], "record.txt")):
            out[bucket] = look(estate, s3, member["account"], bucket, key)
    return out


def fixed(original):
    """What the original is when it is closed to the public and nothing else."""
    policy = original["policy"]
    if policy:
        kept = [s for s in policy["Statement"] if s.get("Principal") not in ("*", {"AWS": "*"})]
        policy = {**policy, "Statement": kept} if kept else None
    return {
        **original,
        "public_access_block": ALL_ON,
        "policy": policy,
        "grants": [g for g in original["grants"] if g["Grantee"].get("URI") not in PUBLIC],
        "anonymous_get": 403,
        "anonymous_list": 403,
    }


def compare(estate, wanted):
    found, differences = snapshot(estate), []
    for name, member in estate["members"].items():
        for bucket in (member["public_bucket"], member["private_bucket"]):
            want = estate["original"][bucket]
            if bucket == member["public_bucket"] and wanted[name] == "fixed":
                want = fixed(want)
            differences += [
                {"member": name, "bucket": bucket, "what": what, "expected": want[what], "found": found[bucket][what]}
                for what in want
                if want[what] != found[bucket][what]
            ]
    return differences


def judge_log(entries, estate, after, untouched, no_repeats):
    twins = {m["private_bucket"] for m in estate["members"].values()}
    member_of = {m[kind]: name for name, m in estate["members"].items() for kind in ("public_bucket", "private_bucket")}
    owners = {m[user]["arn"] for m in estate["members"].values() for user in ("owner", "judge")}
    problems, changes, times = [], [], collections.Counter()

    def problem(what, e):
        problems.append({"what": what, **{k: e.get(k) for k in ("seq", "operation", "bucket", "principal", "status", "body_sha256")}})

    for e in entries:
        principal = e.get("principal", "")
        if e["seq"] <= after or e["class"] != "change" or e.get("bucket", "") not in member_of:
            continue
        if "assumed-role/OrganizationAccountAccessRole/estate" in principal or principal in owners:
            continue  # whoever made the estate, and the member's own people
        if e["bucket"] in twins:
            problem("a changing call on a private twin", e)
        if member_of[e["bucket"]] in untouched:
            problem(f"a changing call in {member_of[e['bucket']]}", e)
        if f"assumed-role/{estate['member_role']}/" not in principal or not e.get("source_identity"):
            problem("a change that is not by the member role with a SourceIdentity", e)
        if e["forwarded"] and 200 <= e["status"] < 300:
            changes.append({k: e.get(k) for k in ("seq", "operation", "bucket", "session", "source_identity")})
            # The session carries the execution: the same change in the same
            # execution was made twice.
            call = (e["operation"], e["bucket"], e.get("session"), e["uri"], e["body_sha256"])
            times[call] += 1
            if no_repeats and times[call] == 2:
                problem("the same change twice", e)
    return problems, changes


def read(name):
    with open(name, encoding="utf-8") as f:
        return json.load(f)


def main():
    parser = argparse.ArgumentParser(description="judge the end state of the demo")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("snapshot", help="print what is now")
    one.add_argument("estate")
    two = commands.add_parser("expect", help="compare what is with what should be")
    two.add_argument("estate")
    two.add_argument("--all", choices=("fixed", "original"), help="for the members that are not named")
    two.add_argument("--dev", choices=("fixed", "original"))
    two.add_argument("--prod", choices=("fixed", "original"))
    three = commands.add_parser("log", help="judge the request log")
    three.add_argument("estate")
    three.add_argument("log")
    three.add_argument("--after", type=int, default=0, metavar="SEQ", help="look at later entries only")
    three.add_argument("--untouched", nargs="*", default=[], metavar="MEMBER")
    three.add_argument("--no-repeats", action="store_true")
    args = parser.parse_args()

    estate = read(args.estate)
    if args.command == "snapshot":
        print(json.dumps(snapshot(estate), indent=2, sort_keys=True))
        return 0
    if args.command == "expect":
        wanted = {name: getattr(args, name, None) or args.all for name in estate["members"]}
        if None in wanted.values():
            parser.error("say what is expected of every member: --dev, --prod or --all")
        differences = compare(estate, wanted)
        print(json.dumps({"ok": not differences, "differences": differences}, indent=2))
        return 1 if differences else 0
    with open(args.log, encoding="utf-8") as f:
        entries = [json.loads(line) for line in f]
    problems, changes = judge_log(entries, estate, args.after, args.untouched, args.no_repeats)
    print(json.dumps({"ok": not problems, "problems": problems, "changes": changes}, indent=2))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
