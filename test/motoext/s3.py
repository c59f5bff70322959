"""Amazon S3: Block Public Access that blocks, GetBucketPolicyStatus, request
payment, grants named when a bucket is created, and inventory configurations that can be deleted.

While BlockPublicPolicy is on, S3 refuses a public bucket policy; while
BlockPublicAcls is on, it refuses a public access control list. Because of that
the order of an undo matters. moto stores the settings and blocks nothing.
"""

import json
import types

import xmltodict
from moto.core.responses import ActionResult
from moto.s3 import exceptions, models, responses
from moto.s3.exceptions import S3ClientError

EVERYONE = (
    "http://acs.amazonaws.com/groups/global/AllUsers",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
)

# Condition keys that make a statement non-public when they are compared with
# fixed values ("The meaning of public" in the Amazon S3 user guide).
NARROWING = {
    "aws:principalorgid", "aws:principalorgpaths", "aws:principalaccount", "aws:principalarn", "aws:userid", "aws:sourcearn",
    "aws:sourceaccount", "aws:sourceowner", "aws:sourceorgid", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceip",
    "s3:dataaccesspointarn", "s3:dataaccesspointaccount", "s3:x-amz-server-side-encryption-aws-kms-key-id",
}


class Refused(S3ClientError):
    def __init__(self, message):
        super().__init__("AccessDenied", message)


class MalformedPolicy(S3ClientError):
    def __init__(self, message):
        super().__init__("MalformedPolicy", message)


def as_list(value):
    return value if isinstance(value, list) else [value]


def statement_is_public(statement):
    if statement.get("Effect") != "Allow":
        return False
    principal = statement.get("Principal")
    if isinstance(principal, dict):
        everyone = "*" in as_list(principal.get("AWS", []))
    else:
        everyone = principal == "*"
    if not everyone and "NotPrincipal" not in statement:
        return False
    for operator, keys in statement.get("Condition", {}).items():
        op = operator.lower()
        if "not" in op or op.endswith("ifexists") or op.startswith("forallvalues:"):
            continue
        for key, values in keys.items():
            fixed = all(not set("*?$") & set(str(v)) and v not in ("0.0.0.0/0", "::/0") for v in as_list(values))
            if key.lower() in NARROWING and fixed:
                return False
    return True


def policy_is_public(text):
    if not text:
        return False
    return any(statement_is_public(s) for s in as_list(json.loads(text).get("Statement", [])))


def acl_is_public(acl):
    return acl is not None and any(g.uri in EVERYONE for grant in acl.grants for g in grant.grantees)


def patch():
    backend = models.S3Backend
    put_policy, put_acl = backend.put_bucket_policy, backend.put_bucket_acl

    def put_bucket_policy(self, bucket_name, policy):
        try:
            document = json.loads(policy)
            statements = as_list(document["Statement"])
            if not statements or not all(isinstance(s, dict) and s.get("Effect") in ("Allow", "Deny") for s in statements):
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise MalformedPolicy("Policies must be valid JSON and the first byte must be '{'") from None
        block = self.get_bucket(bucket_name).public_access_block
        if block and block.block_public_policy and policy_is_public(policy):
            raise Refused(
                "User is not authorized to perform: s3:PutBucketPolicy on resource "
                f'"arn:aws:s3:::{bucket_name}" because public policies are prevented by the BlockPublicPolicy setting '
                "in S3 Block Public Access."
            )
        put_policy(self, bucket_name, policy)

    def put_bucket_acl(self, bucket_name, acl):
        block = self.get_bucket(bucket_name).public_access_block
        if block and block.block_public_acls and acl_is_public(acl):
            raise Refused("Access Denied")
        # moto keeps None for a list without grants, and then breaks on reading it.
        put_acl(self, bucket_name, acl or models.FakeAcl([]))

    backend.put_bucket_policy, backend.put_bucket_acl = put_bucket_policy, put_bucket_acl
    may_log = models.FakeBucket._log_permissions_enabled_policy

    def log_permissions_enabled_policy(target_bucket, target_prefix):
        # moto takes every principal for a map, and breaks on "*".
        policy = json.loads(target_bucket.policy.decode()) if target_bucket.policy else {}
        named = [s for s in as_list(policy.get("Statement", [])) if isinstance(s.get("Principal"), dict)]
        stand_in = types.SimpleNamespace(
            policy=json.dumps({"Statement": named}).encode(), partition=target_bucket.partition, name=target_bucket.name
        )
        return may_log(stand_in, target_prefix)

    models.FakeBucket._log_permissions_enabled_policy = staticmethod(log_permissions_enabled_policy)

    get, put, delete = (getattr(responses.S3Response, "_bucket_response_" + m) for m in ("get", "put", "delete"))

    def bucket_response_get(self, bucket_name, querystring):
        if "requestPayment" in querystring:
            self.data["Action"] = "GetBucketRequestPayment"
            payer = getattr(self.backend.get_bucket(bucket_name), "payer", "BucketOwner")
            return self.serialized(ActionResult({"Payer": payer}))
        if "policyStatus" not in querystring:
            return get(self, bucket_name, querystring)
        policy = self.backend.get_bucket_policy(bucket_name)
        if not policy:
            # The answer of GetBucketPolicy for a bucket without one.
            return get(self, bucket_name, {"policy": [""]})
        self.data["Action"] = "GetBucketPolicyStatus"
        return self.serialized(ActionResult({"PolicyStatus": {"IsPublic": policy_is_public(policy)}}))

    def bucket_response_put(self, request, bucket_name, querystring):
        if "requestPayment" not in querystring:
            answer = put(self, request, bucket_name, querystring)
            if not querystring and any(h.lower().startswith("x-amz-grant-") for h in request.headers.keys()):
                self.backend.put_bucket_acl(bucket_name, self._acl_from_headers(request.headers))
            return answer
        body = xmltodict.parse(self.body)
        self.backend.get_bucket(bucket_name).payer = body["RequestPaymentConfiguration"]["Payer"]
        return 200, {}, ""

    def bucket_response_delete(self, bucket_name, querystring):
        if "inventory" not in querystring:
            return delete(self, bucket_name, querystring)
        self.backend.get_bucket_inventory_configuration(bucket_name, querystring["id"][0])
        del self.backend.get_bucket(bucket_name).inventory_configs[querystring["id"][0]]
        return 204, {}, ""

    put_object_acl = responses.S3Response.put_object_acl

    def put_object_acl_of_body(self):
        # moto reads the headers only.
        if not self.body:
            return put_object_acl(self)
        self.backend.put_object_acl(self.bucket_name, self.parse_key_name(), self._acl_from_body())
        return 200, {}, ""

    responses.S3Response.put_object_acl = put_object_acl_of_body

    # moto calls it NoSuchInventoryConfig.
    exceptions.MissingInventoryConfig.__init__ = lambda self: S3ClientError.__init__(
        self, "NoSuchConfiguration", "The specified configuration does not exist."
    )

    responses.S3Response._bucket_response_get = bucket_response_get
    responses.S3Response._bucket_response_put = bucket_response_put
    responses.S3Response._bucket_response_delete = bucket_response_delete
