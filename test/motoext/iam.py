"""AWS IAM: permissions boundaries of users, which moto lacks, and a password
policy that names no expiry where it has none (moto says 0).
"""

from moto.core.responses import EmptyResult
from moto.iam.models import AccountPasswordPolicy
from moto.iam.responses import IamResponse


def patch():
    moto = AccountPasswordPolicy.__init__

    def init(self, *args, **named):
        moto(self, *args, **named)
        self.max_password_age = self.max_password_age or None
        self.password_reuse_prevention = self.password_reuse_prevention or None

    AccountPasswordPolicy.__init__ = init
    IamResponse.put_user_permissions_boundary = put_user_permissions_boundary
    IamResponse.delete_user_permissions_boundary = delete_user_permissions_boundary


def put_user_permissions_boundary(self):
    user = self.backend.get_user(self._get_param("UserName"))
    arn = self._get_param("PermissionsBoundary")
    user.permissions_boundary = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}
    return EmptyResult()


def delete_user_permissions_boundary(self):
    self.backend.get_user(self._get_param("UserName")).permissions_boundary = None
    return EmptyResult()
