"""Gives people who may only look credentials in the estate: AWS's own SecurityAudit
policy, as moto has it, and nothing else.

    audit.py ESTATE.json --out AUDITORS.json

makes in the management account and in each member a user "auditor", in each member a
role "Auditor" that the management account's auditor may take, in the management account
a user "nobody" who may nothing, and turns Security Hub on in dev.
"""

import argparse
import json
import os
import sys

import estate as organization
from moto.iam.aws_managed_policies import aws_managed_policies_data

LIMIT = 6000  # IAM takes 6,144 characters for a managed policy


def security_audit():
    """The policy in as many documents as IAM takes."""
    actions = []
    for statement in json.loads(aws_managed_policies_data)["SecurityAudit"]["Document"]["Statement"]:
        # What it allows on some resources alone (API Gateway's paths) is left out.
        if statement["Effect"] == "Allow" and statement["Resource"] in ("*", ["*"]) and "Condition" not in statement:
            actions += [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
    documents, part = [], []
    for action in actions:
        if len(json.dumps(organization.allow([*part, action]))) > LIMIT:
            documents.append(organization.allow(part))
            part = []
        part.append(action)
    return [*documents, organization.allow(part)]


def policies(iam):
    return [
        iam.create_policy(PolicyName=f"SecurityAudit{i}", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
        for i, document in enumerate(security_audit())
    ]


def user(iam, name, arns):
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    for policy in arns:
        iam.attach_user_policy(UserName=name, PolicyArn=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"arn": arn, "access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}


def make(world):
    endpoint, root = world["endpoint"], world["management"]["administrator"]
    admin = organization.Account(endpoint, root["access_key_id"], root["secret_access_key"])
    iam = admin.client("iam")
    out = {"management": user(iam, "auditor", policies(iam)), "nobody": user(iam, "nobody", [])}
    assume = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::*:role/Auditor"}]}
    iam.put_user_policy(UserName="auditor", PolicyName="take", PolicyDocument=json.dumps(assume))
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": out["management"]["arn"]}, "Action": "sts:AssumeRole"}],
    }
    for name, member in world["members"].items():
        access = organization.enter(admin, endpoint, member["account"])
        iam = access.client("iam")
        arns = policies(iam)
        out[name] = user(iam, "auditor", arns)
        iam.create_role(RoleName="Auditor", AssumeRolePolicyDocument=json.dumps(trust))
        for arn in arns:
            iam.attach_role_policy(RoleName="Auditor", PolicyArn=arn)
        if name == "dev":
            access.client("securityhub").enable_security_hub(EnableDefaultStandards=False)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("estate")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    with open(args.estate, encoding="utf-8") as f:
        world = json.load(f)
    with open(os.open(args.out, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        json.dump(make(world), out)


if __name__ == "__main__":
    sys.exit(main())
