"""AWS IAM: permissions boundaries of users, which moto lacks, a password policy
that names no expiry where it has none (moto says 0), the policies that AWS
manages, which moto knows only when it loads all thousand of them at its start,
inline policies of a role that CloudFormation makes as text, and access keys as old as the tag "emulator:age-in-days" of their user says: nobody
can wait for a key to grow old.
"""

import datetime
import functools
import json

from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.core.responses import EmptyResult
from moto.iam.models import AccountPasswordPolicy, AWSManagedPolicy, IAMBackend, Role
from moto.iam.responses import IamResponse


def patch():
    moto = AccountPasswordPolicy.__init__

    def init(self, *args, **named):
        moto(self, *args, **named)
        self.max_password_age = self.max_password_age or None
        self.password_reuse_prevention = self.password_reuse_prevention or None

    AccountPasswordPolicy.__init__ = init
    for name in ("attach_role_policy", "attach_user_policy", "attach_group_policy", "get_policy"):
        setattr(IAMBackend, name, with_managed_policy(getattr(IAMBackend, name)))
    put_policy = Role.put_policy
    Role.put_policy = lambda self, name, policy: put_policy(self, name, policy if isinstance(policy, str) else json.dumps(policy))
    create_access_key = IAMBackend.create_access_key

    def create_aged_access_key(self, *args, **named):
        key = create_access_key(self, *args, **named)
        tags = self.tagger.get_tag_dict_for_resource(self.get_user(key.user_name).arn)
        key.create_date -= datetime.timedelta(days=int(tags.get("emulator:age-in-days", "0")))
        return key

    IAMBackend.create_access_key = create_aged_access_key
    IamResponse.put_user_permissions_boundary = put_user_permissions_boundary
    IamResponse.delete_user_permissions_boundary = delete_user_permissions_boundary


@functools.cache
def managed_policies():
    return json.loads(aws_managed_policies_data)


def with_managed_policy(method):
    """A method whose first argument is a policy's ARN, to which that policy is there if AWS has it."""

    @functools.wraps(method)
    def wrapped(self, policy_arn, *args, **named):
        owner, _, path = policy_arn.partition(":policy/")
        name = path.rpartition("/")[2]
        if owner.endswith(":iam::aws") and policy_arn not in self.managed_policies and name in managed_policies():
            policy = AWSManagedPolicy.from_data(name, self.account_id, self.region_name, managed_policies()[name])
            self.managed_policies[policy.arn] = policy
        return method(self, policy_arn, *args, **named)

    return wrapped


def put_user_permissions_boundary(self):
    user = self.backend.get_user(self._get_param("UserName"))
    arn = self._get_param("PermissionsBoundary")
    user.permissions_boundary = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}
    return EmptyResult()


def delete_user_permissions_boundary(self):
    self.backend.get_user(self._get_param("UserName")).permissions_boundary = None
    return EmptyResult()
