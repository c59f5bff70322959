"""AWS Organizations: account ids a person can read, and the role that AWS fits
new accounts with.

moto makes OrganizationAccountAccessRole without a policy; in AWS it has
AdministratorAccess.
"""

import itertools
import json

from moto.iam import iam_backends
from moto.organizations import models, utils

ADMINISTRATOR = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def patch():
    # The first id goes to the management account, which then takes the caller's.
    readable = itertools.chain((str(d) * 12 for d in range(1, 10)), iter(utils.make_random_account_id, None))
    utils.make_random_account_id = lambda: next(readable)

    original = models.FakeAccount.__init__

    def init(self, organization, **kwargs):
        original(self, organization, **kwargs)
        iam_backends[self.id]["aws"].put_role_policy(
            kwargs.get("RoleName", "OrganizationAccountAccessRole"), "AdministratorAccess", json.dumps(ADMINISTRATOR)
        )

    models.FakeAccount.__init__ = init

    models.FakeDelegatedAdministrator.SUPPORTED_SERVICES.append("securityhub.amazonaws.com")
