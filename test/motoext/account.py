"""Account Management: the Regions that an account turns on and off.

moto has none of it, and takes three Regions for always on that are not. Those of
20 March 2019 and before are on in every account and cannot be turned off; the
others are off until EnableRegion. AWS takes minutes to hours for it, this none.
"""

import json

from moto.account import urls
from moto.account.responses import AccountResponse
from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult, EmptyResult

DEFAULT = frozenset(
    "ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-southeast-1 ap-southeast-2 ca-central-1 eu-central-1 eu-north-1"
    " eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2".split()
)

enabled = set()  # of account and Region


def opt_in_status(account, region):
    """What DescribeRegions says of a Region."""
    if region in DEFAULT or region.startswith(("cn-", "us-gov-")):
        return "opt-in-not-required"
    return "opted-in" if (account, region) in enabled else "not-opted-in"


def turn(change):
    def call(self):
        place = (self._get_account_id(), json.loads(self.body)["RegionName"])
        if place[1] in DEFAULT:
            raise JsonRESTError("ValidationException", "The Region is enabled by default and cannot be turned off or on.")
        change(enabled, place)
        return EmptyResult()

    return call


def get_region_opt_status(self):
    region = json.loads(self.body)["RegionName"]
    status = {"opt-in-not-required": "ENABLED_BY_DEFAULT", "opted-in": "ENABLED", "not-opted-in": "DISABLED"}
    return ActionResult({"RegionName": region, "RegionOptStatus": status[opt_in_status(self._get_account_id(), region)]})


def patch():
    AccountResponse.enable_region = turn(set.add)
    AccountResponse.disable_region = turn(set.discard)
    AccountResponse.get_region_opt_status = get_region_opt_status
    for path in ("enableRegion", "disableRegion", "getRegionOptStatus"):
        urls.url_paths["{0}/" + path + "$"] = AccountResponse.dispatch
