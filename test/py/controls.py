"""Bad resources with good twins for the controls that Parry's catalogue answers, made
and judged with the members' own credentials. It shares no code with Parry and never
asks it.

    controls.py make ESTATE.json --out RESOURCES.json [--story]
        makes, in each member and both Regions, a bad resource and its good twin of
        every control; of the settings of a whole account S3.1 is bad, the others in dev
        alone. With --story it makes those of `parry demo`, spread over its six members

    controls.py state ESTATE.json RESOURCES.json
        prints what each resource is now, by its key

    controls.py expect ESTATE.json RESOURCES.json --fixed KEY ... | --fixed-all
        compares with what should be: those named are fixed, all others as they were made

    controls.py log ESTATE.json RESOURCES.json WALL.jsonl --after SEQ [--fixed KEY ...]
        judges the wall's request log: no changing call of Parry named a good twin, or a bad
        resource that is not listed; none was made twice by one execution; every one was
        made by the member role with a SourceIdentity

    controls.py truth ESTATE.json
        prints for each control the ids that fail it in the members and Regions, by a look
        of its own

Exit status: 0 as it should be, 1 not so, 2 wrong usage.
"""

import argparse
import concurrent.futures
import copy
import json
import sys

from botocore.exceptions import ClientError

import estate as organization

REGIONS = ("us-east-1", "eu-west-1")
EVERYONE = ("http://acs.amazonaws.com/groups/global/AllUsers", "http://acs.amazonaws.com/groups/global/AuthenticatedUsers")
ALL_ON = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}
PORTS = {"EC2.13": 22, "EC2.14": 3389}


class Member:
    """A member account, entered as its administrator, or with its own judge's key."""

    def __init__(self, world, name, judge=False):
        self.name, self.account = name, world["members"][name]["account"]
        if judge:
            key = world["members"][name]["judge"]
            self.access = organization.Account(world["endpoint"], key["access_key_id"], key["secret_access_key"])
        else:
            root = world["management"]["administrator"]
            admin = organization.Account(world["endpoint"], root["access_key_id"], root["secret_access_key"])
            self.access = organization.enter(admin, world["endpoint"], self.account)
        self.security = world["security"]["account"]
        self.clients = {}

    def client(self, service, region=REGIONS[0]):
        if (service, region) not in self.clients:
            self.clients[service, region] = self.access.session.client(
                service, region_name=region, endpoint_url=self.access.endpoint
            )
            if service == "s3control":  # the account stands before a host that is an address here
                events = self.clients[service, region].meta.events
                events.register("before-sign.s3-control", self.plain_host)
        return self.clients[service, region]

    def plain_host(self, request, **_):
        request.url = request.url.replace(f"://{self.account}.", "://", 1)


def none_if(code, call, **kwargs):
    try:
        return call(**kwargs)
    except ClientError as err:
        if err.response["Error"]["Code"] == code:
            return None
        raise


# --- making ---


def bucket(member, region, control, good):
    s3 = member.client("s3", region)
    name = f"{member.name}-{control.replace('.', '').lower()}-{'good' if good else 'bad'}-{region}-{member.account}"
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=name, ObjectOwnership="ObjectWriter", **where)
    none_if("NoSuchPublicAccessBlockConfiguration", s3.delete_public_access_block, Bucket=name)
    statements = [organization.named_statement(name, member.security)]
    if not good:
        action = {"S3.2": "s3:GetObject", "S3.3": "s3:PutObject", "S3.8": "s3:GetObject"}[control]
        statements.insert(0, {"Sid": "World", "Effect": "Allow", "Principal": "*", "Action": action, "Resource": f"arn:aws:s3:::{name}/*"})
        s3.put_bucket_acl(Bucket=name, ACL="public-read-write" if control == "S3.3" else "public-read")
    elif control == "S3.8":
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=ALL_ON)
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    return "AwsS3Bucket", f"arn:aws:s3:::{name}"


def group_arn(member, region, group):
    return "AwsEc2SecurityGroup", f"arn:aws:ec2:{region}:{member.account}:security-group/{group}"


def open_group(member, region, control, good):
    ec2, port = member.client("ec2", region), PORTS[control]
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    clear(ec2, default_group(ec2, vpc))
    kind = "good" if good else "bad"
    group = ec2.create_security_group(GroupName=f"{kind}-{port}", Description=f"{kind} twin", VpcId=vpc)["GroupId"]
    rules = [
        {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "web"}]},
        {"IpProtocol": "udp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "inside"}]},
    ]
    if not good:
        rules[2]["IpRanges"].append({"CidrIp": "0.0.0.0/0", "Description": "everywhere"})
        rules += [
            {"IpProtocol": "tcp", "FromPort": port - 2, "ToPort": port + 3, "Ipv6Ranges": [{"CidrIpv6": "::/0", "Description": "all of IPv6"}]},
            {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        ]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rules)
    return group_arn(member, region, group)


def default_group(ec2, vpc):
    filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
    return ec2.describe_security_groups(Filters=filters)["SecurityGroups"][0]


def clear(ec2, group):
    if group["IpPermissions"]:
        ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])
    if group["IpPermissionsEgress"]:
        ec2.revoke_security_group_egress(GroupId=group["GroupId"], IpPermissions=group["IpPermissionsEgress"])


def default_of_vpc(member, region, _, good):
    ec2 = member.client("ec2", region)
    group = default_group(ec2, ec2.create_vpc(CidrBlock="10.2.0.0/16")["Vpc"]["VpcId"])
    if good:
        clear(ec2, group)
    else:  # which AWS makes with the VPC
        own = [{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group["GroupId"]}]}]
        ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=own)
    return group_arn(member, region, group["GroupId"])


def key(member, region, _, good):
    kms = member.client("kms", region)
    made = kms.create_key()["KeyMetadata"]
    if good:
        kms.enable_key_rotation(KeyId=made["KeyId"])
    return "AwsKmsKey", made["Arn"]


def account(member, region, control, good):
    if control == "S3.1":
        s3 = member.client("s3control")
        half = {**ALL_ON, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}
        s3.put_public_access_block(AccountId=member.account, PublicAccessBlockConfiguration=ALL_ON if good else half)
    elif control == "EC2.7" and good:
        member.client("ec2", region).enable_ebs_encryption_by_default()
    elif control == "IAM.7":
        strict = {f"Require{k}": True for k in ("Symbols", "Numbers", "UppercaseCharacters", "LowercaseCharacters")}
        weak = {"MinimumPasswordLength": 6, "RequireNumbers": True, "MaxPasswordAge": 60, "AllowUsersToChangePassword": True}
        member.client("iam").update_account_password_policy(**({**strict, "MinimumPasswordLength": 12} if good else weak))
    return "AwsAccount", f"AWS::::Account:{member.account}"


MAKERS = {
    "S3.2": bucket, "S3.3": bucket, "S3.8": bucket, "EC2.2": default_of_vpc, "EC2.13": open_group, "EC2.14": open_group, "KMS.4": key,
}  # fmt: skip
OF_ACCOUNT = {"S3.1": REGIONS[:1], "IAM.7": REGIONS[:1], "EC2.7": REGIONS}


# What the story of `parry demo` is about: member, Region, control, and which of the twins.
# S3.1 comes last of its member: S3 refuses public buckets where the account is blocked.
BOTH, BAD, GOOD = (False, True), (False,), (True,)
US, EU = REGIONS
STORY = (
    ("web-dev", US, "S3.2", BOTH),
    ("web-dev", US, "EC2.13", BOTH),
    ("web-dev", EU, "KMS.4", BOTH),
    ("web-dev", EU, "EC2.7", BAD),
    ("data-dev", EU, "EC2.13", BOTH),
    ("data-dev", US, "KMS.4", BOTH),
    ("data-dev", US, "EC2.7", BAD),
    ("data-dev", EU, "EC2.7", GOOD),
    ("data-dev", US, "S3.1", GOOD),
    ("web-prod", US, "S3.8", BOTH),
    ("web-prod", EU, "EC2.14", BOTH),
    ("web-prod", US, "EC2.13", BAD),
    ("web-prod", US, "IAM.7", GOOD),
    ("data-prod", EU, "S3.3", BOTH),
    ("data-prod", US, "EC2.2", BOTH),
    ("data-prod", EU, "KMS.4", BOTH),
    ("data-prod", US, "IAM.7", BAD),
    ("data-prod", US, "S3.1", BAD),
    ("ana", US, "S3.8", BAD),
    ("ana", EU, "EC2.13", BAD),
    ("ben", US, "S3.2", BAD),
)


def everywhere(world):
    """Every control in every member: what is made without --story."""
    for name in world["members"]:
        for region in REGIONS:
            for control in MAKERS:
                yield name, region, control, BOTH
        for control, regions in OF_ACCOUNT.items():
            for region in regions:
                # The block of a whole account would hide what is wrong with its buckets.
                yield name, region, control, (name != "dev" and control != "S3.1",)


def make(world, wanted):
    """Makes them member by member, some members at once, in each in the order given."""
    wanted = list(wanted)

    def make_of(name):
        member, made = Member(world, name), {}
        for _, region, control, twins in (w for w in wanted if w[0] == name):
            for good in twins:
                kind, arn = MAKERS.get(control, account)(member, region, control, good)
                r = {"control": control, "member": name, "account": member.account, "region": region, "good": good, "type": kind, "id": arn}
                made[f"{name}/{region}/{control}/{'good' if good else 'bad'}"] = {**r, "state": state(member, r)}
        return made

    return dict(item for made in in_parallel(make_of, world["members"]) for item in made.items())


def in_parallel(work, names):
    """The results of work for each name, in order."""
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        return list(pool.map(work, names))


# --- looking ---


def rules(permissions):
    """The rules of a group one by one, whatever the order."""
    out = []
    for p in permissions:
        what = [p["IpProtocol"], p.get("FromPort"), p.get("ToPort")]
        for member, value in (("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6"), ("PrefixListIds", "PrefixListId"), ("UserIdGroupPairs", "GroupId")):
            out += [[*what, r[value], r.get("Description", "")] for r in p.get(member, [])]
    return sorted(out, key=json.dumps)


def state(member, r):
    region, control, name = r["region"], r["control"], r["id"].rsplit("/", 1)[-1].rsplit(":", 1)[-1]
    if r["type"] == "AwsS3Bucket":
        s3 = member.client("s3", region)
        block = none_if("NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block, Bucket=name)
        policy = none_if("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=name)
        grants = [[g["Grantee"].get("URI") or g["Grantee"]["ID"], g["Permission"]] for g in s3.get_bucket_acl(Bucket=name)["Grants"]]
        return {
            "block": block and block["PublicAccessBlockConfiguration"],
            "policy": policy and json.loads(policy["Policy"]),
            "grants": sorted(grants),
        }
    if r["type"] == "AwsEc2SecurityGroup":
        group = member.client("ec2", region).describe_security_groups(GroupIds=[name])["SecurityGroups"][0]
        return {"in": rules(group["IpPermissions"]), "out": rules(group["IpPermissionsEgress"])}
    if control == "KMS.4":
        return member.client("kms", region).get_key_rotation_status(KeyId=name)["KeyRotationEnabled"]
    if control == "S3.1":
        got = none_if("NoSuchPublicAccessBlockConfiguration", member.client("s3control").get_public_access_block, AccountId=member.account)
        return got and got["PublicAccessBlockConfiguration"]
    if control == "EC2.7":
        return member.client("ec2", region).get_ebs_encryption_by_default()["EbsEncryptionByDefault"]
    got = none_if("NoSuchEntity", member.client("iam").get_account_password_policy)
    return got and got["PasswordPolicy"]


def fixed(r):
    """What a bad resource is when it is fixed and nothing else."""
    was, control = copy.deepcopy(r["state"]), r["control"]
    if r["good"]:
        return was
    if control == "S3.8":  # what is public stays, without effect
        return {**was, "block": ALL_ON}
    if r["type"] == "AwsS3Bucket":
        was["policy"]["Statement"] = [s for s in was["policy"]["Statement"] if s["Principal"] != "*"]
        was["grants"] = [g for g in was["grants"] if g[0] not in EVERYONE]
        return {**was, "block": ALL_ON}
    if control == "EC2.2":
        return {"in": [], "out": []}
    if control in PORTS:
        return {**was, "in": [x for x in was["in"] if not reaches(x, PORTS[control])]}
    if control == "IAM.7":
        strict = {f"Require{k}": True for k in ("Symbols", "Numbers", "UppercaseCharacters", "LowercaseCharacters")}
        return {**was, **strict, "MinimumPasswordLength": 8}
    return ALL_ON if control == "S3.1" else True


def reaches(rule, port):
    protocol, low, high, source = rule[:4]
    return source in ("0.0.0.0/0", "::/0") and (protocol == "-1" or protocol == "tcp" and low <= port <= high)


def expect(world, resources, wanted):
    # In the story the judge has a key of each member's own, which can only read.
    own = "eventbridge" in world["security"]

    def differences(member_name):
        member, out = Member(world, member_name, judge=own), []
        for name, r in resources.items():
            if r["member"] == member_name:
                want, found = fixed(r) if name in wanted else r["state"], state(member, r)
                out += [] if want == found else [{"resource": name, "expected": want, "found": found}]
        return out

    return [d for found in in_parallel(differences, world["members"]) for d in found]


# --- the request log ---


def names(r):
    """What calls about a resource name it by, and the operations of settings that have no name."""
    short = r["id"].rsplit("/", 1)[-1].rsplit(":", 1)[-1]
    of_account = {
        "S3.1": {"PutAccountPublicAccessBlock", "DeleteAccountPublicAccessBlock"},
        "EC2.7": {"EnableEbsEncryptionByDefault", "DisableEbsEncryptionByDefault"},
        "IAM.7": {"UpdateAccountPasswordPolicy", "DeleteAccountPasswordPolicy"},
    }
    return {r["id"], short}, of_account.get(r["control"], set())


def touches(e, r):
    about, operations = names(r)
    if operations:  # IAM is global: its calls are signed for its own region
        return e.get("account") == r["account"] and e["operation"] in operations and not e.get("bucket") and (r["control"] != "EC2.7" or e.get("region") == r["region"])
    return bool(about & {e.get("bucket"), e.get("about")}) and e.get("account") == r["account"]


def judge_log(world, resources, entries, after, allowed):
    problems, changes, seen = [], 0, set()
    for e in entries:
        if e["seq"] <= after or e["class"] != "change" or not (200 <= e["status"] < 300) or not e["forwarded"]:
            continue
        if e["service"] in ("sts", "sns", "sqs", "organizations") or e["operation"] == "GenerateCredentialReport":
            continue  # no resource of a member; Prowler asks for the report, which tells what there is
        changes += 1
        found = [name for name, r in resources.items() if touches(e, r)]
        what = {k: e.get(k) for k in ("seq", "operation", "account", "region", "bucket", "about", "principal")}
        if not found:
            problems.append({"what": "a change of something else", **what})
        for name in found:
            if resources[name]["good"] or name not in allowed:
                problems.append({"what": f"a change of {name}", **what})
        if f"assumed-role/{world['member_role']}/" not in e.get("principal", "") or not e.get("source_identity"):
            problems.append({"what": "a change that is not by the member role with a SourceIdentity", **what})
        call = (e.get("session"), e["operation"], e["uri"], e["body_sha256"])
        if call in seen:
            problems.append({"what": "the same change twice", **what})
        seen.add(call)
    return {"ok": not problems, "changes": changes, "problems": problems}


# --- the truth about whole accounts ---


def failing(member, region, control):
    if control in ("S3.1", "IAM.7", "EC2.7"):
        now = state(member, {"region": region, "control": control, "type": "AwsAccount", "id": ""})
        strong = control == "IAM.7" and now and now["MinimumPasswordLength"] >= 8 and now.get("RequireSymbols")
        return [] if now in (True, ALL_ON) or strong else [f"AWS::::Account:{member.account}"]
    if control == "KMS.4":
        kms = member.client("kms", region)
        return [k["KeyArn"] for k in kms.list_keys()["Keys"] if not kms.get_key_rotation_status(KeyId=k["KeyId"])["KeyRotationEnabled"]]
    if control.startswith("EC2"):
        groups = member.client("ec2", region).describe_security_groups()["SecurityGroups"]
        bad = [
            g["GroupId"]
            for g in groups
            if (control == "EC2.2" and g["GroupName"] == "default" and g["IpPermissions"] + g["IpPermissionsEgress"])
            or (control in PORTS and any(reaches(x, PORTS[control]) for x in rules(g["IpPermissions"])))
        ]
        return [group_arn(member, region, g)[1] for g in bad]
    out = []
    s3 = member.client("s3")
    whole = state(member, {"region": region, "control": "S3.1", "type": "AwsAccount", "id": ""}) or {}
    for b in s3.list_buckets()["Buckets"]:
        if (s3.get_bucket_location(Bucket=b["Name"])["LocationConstraint"] or "us-east-1") != region:
            continue
        arn = f"arn:aws:s3:::{b['Name']}"
        now = state(member, {"region": region, "control": control, "type": "AwsS3Bucket", "id": arn})
        if control == "S3.8":
            bad = now["block"] != ALL_ON
        else:
            action, permission = {"S3.2": ("s3:GetObject", "READ"), "S3.3": ("s3:PutObject", "WRITE")}[control]
            blocks = [now["block"] or {}, whole]
            policy = any(s["Principal"] == "*" and s["Action"] == action for s in (now["policy"] or {"Statement": []})["Statement"])
            acl = any(g[0] in EVERYONE and g[1] == permission for g in now["grants"])
            bad = (policy and not any(b.get("RestrictPublicBuckets") for b in blocks)) or (
                acl and not any(b.get("IgnorePublicAcls") for b in blocks)
            )
        out += [arn] if bad else []
    return out


def truth(world):
    members = [Member(world, name) for name in world["members"]]
    out = {}
    for control in [*MAKERS, *OF_ACCOUNT]:
        places = [(m, region) for m in members for region in OF_ACCOUNT.get(control, REGIONS)]
        out[control] = sorted(f"{m.account} {region} {arn}" for m, region in places for arn in failing(m, region, control))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("command", choices=("make", "state", "expect", "log", "truth"))
    parser.add_argument("estate")
    parser.add_argument("what", nargs="?", help="RESOURCES.json")
    parser.add_argument("log", nargs="?", help="WALL.jsonl")
    parser.add_argument("--out")
    parser.add_argument("--story", action="store_true")
    parser.add_argument("--after", type=int, default=0)
    parser.add_argument("--fixed", nargs="*", default=[])
    parser.add_argument("--fixed-all", action="store_true")
    args = parser.parse_args()
    with open(args.estate, encoding="utf-8") as f:
        world = json.load(f)
    if args.command == "truth":
        print(json.dumps(truth(world)))
        return 0
    if args.command == "make":
        with open(args.out, "w", encoding="utf-8") as f:
            json.dump(make(world, STORY if args.story else everywhere(world)), f, indent=1)
        return 0
    with open(args.what, encoding="utf-8") as f:
        resources = json.load(f)
    if args.command == "state":
        print(json.dumps({k: state(Member(world, r["member"]), r) for k, r in resources.items()}, indent=1))
        return 0
    if args.command == "log":
        with open(args.log, encoding="utf-8") as f:
            verdict = judge_log(world, resources, [json.loads(line) for line in f], args.after, args.fixed)
        print(json.dumps(verdict, indent=1))
        return 0 if verdict["ok"] else 1
    differences = expect(world, resources, list(resources) if args.fixed_all else args.fixed)
    print(json.dumps(differences, indent=1))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
