"""The account in which Parry and Cloud Custodian are measured side by side, and its judge.
Neither tool is asked anything.

    custodian.py make ESTATE.json --count N --out WORLD.json
        makes in the member dev N public buckets and N private ones, N security groups that
        open port 22 to the world and N that do not, and a user who may do everything in S3
        and EC2; prints that user's key

    custodian.py judge ESTATE.json WORLD.json
        looks at each resource: those that were bad have to be closed and otherwise as they
        were, those that were good have to be as they were

Exit status: 0 as it should be, 1 not so, 2 wrong usage.
"""

import argparse
import json
import sys

import controls
import estate as organization

REGION = controls.REGIONS[0]


def make_bucket(member, number, good):
    s3 = member.client("s3")
    name = f"side-{'good' if good else 'bad'}-{number}-{member.account}"
    (organization.make_private_bucket if good else organization.make_public_bucket)(s3, name, member.security)
    return {"type": "AwsS3Bucket", "id": f"arn:aws:s3:::{name}", "control": "S3.2"}


def make_group(member, vpc, number, good):
    ec2 = member.client("ec2")
    name = f"side-{'good' if good else 'bad'}-{number}"
    group = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "inside"}]}
    web = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "web"}]}
    if not good:
        ssh["IpRanges"].append({"CidrIp": "0.0.0.0/0", "Description": "everywhere"})
        ssh["Ipv6Ranges"] = [{"CidrIpv6": "::/0", "Description": "all of IPv6"}]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ssh, web])
    kind, arn = controls.group_arn(member, REGION, group)
    return {"type": kind, "id": arn, "control": "EC2.13"}


def make(world, count):
    member = controls.Member(world, "dev")
    for bucket in (world["members"]["dev"]["public_bucket"], world["members"]["dev"]["private_bucket"]):
        s3 = member.client("s3")  # those of the demo are in the way of the counts
        for item in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=item["Key"])
        s3.delete_bucket(Bucket=bucket)
    vpc = member.client("ec2").create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    resources = []
    for number in range(count):
        for good in (False, True):
            resources += [make_bucket(member, number, good) | {"good": good}, make_group(member, vpc, number, good) | {"good": good}]
    for r in resources:
        r["region"] = REGION
        r["state"] = controls.state(member, r)
    key = organization.user(member.client("iam"), "custodian", organization.allow(["s3:*", "ec2:*"]))
    return resources, key


def judge(world, resources):
    """What is not as it should be, by kind."""
    member = controls.Member(world, "dev")
    out = {"bad": 0, "good": 0, "open": [], "too_much": [], "touched": []}
    for r in resources:
        out["good" if r["good"] else "bad"] += 1
        want, found = controls.fixed(r), controls.state(member, r)
        if want == found:
            continue
        if r["good"]:
            out["touched"].append(r["id"])
        elif still_open(r, found):
            out["open"].append(r["id"])
        else:
            out["too_much"].append({"resource": r["id"], "expected": want, "found": found})
    return out


def still_open(r, found):
    if r["type"] == "AwsEc2SecurityGroup":
        return any(controls.reaches(x, 22) for x in found["in"])
    statements = (found["policy"] or {"Statement": []})["Statement"]
    grants = any(g[0] in controls.EVERYONE for g in found["grants"])
    return found["block"] != controls.ALL_ON or grants or any(s["Principal"] == "*" for s in statements)


def read(name):
    with open(name, encoding="utf-8") as f:
        return json.load(f)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("make")
    one.add_argument("estate")
    one.add_argument("--count", type=int, required=True)
    one.add_argument("--out", required=True)
    two = commands.add_parser("judge")
    two.add_argument("estate")
    two.add_argument("world")
    args = parser.parse_args()
    if args.command == "make":
        resources, key = make(read(args.estate), args.count)
        with open(args.out, "w", encoding="utf-8") as out:
            json.dump(resources, out)
        print(json.dumps(key))
        return 0
    found = judge(read(args.estate), read(args.world))
    print(json.dumps(found))
    return 1 if found["open"] or found["too_much"] or found["touched"] else 0


if __name__ == "__main__":
    sys.exit(main())
