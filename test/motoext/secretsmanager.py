"""AWS Secrets Manager: when a secret was last read.

moto never says. Here it is the day on which the secret was made, or as many
days ago as the tag "emulator:age-in-days" says: nobody can wait for a secret to
grow old.
"""

import time

from moto.secretsmanager.models import FakeSecret

DAY = 86400
AGE = "emulator:age-in-days"


def patch():
    moto = FakeSecret.to_dict

    def to_dict(self):
        described = moto(self)
        age = next((int(t["Value"]) for t in self.tags or [] if t["Key"] == AGE), 0)
        # AWS gives the day, not the hour ("DescribeSecret" in the API reference).
        described["LastAccessedDate"] = (int(time.time()) // DAY - age) * DAY
        return described

    FakeSecret.to_dict = to_dict
