"""AWS Systems Manager: service settings, which moto lacks."""

import json
import time

from moto.core.exceptions import JsonRESTError
from moto.ssm import responses

# Settings and their defaults ("GetServiceSetting" in the API reference).
DEFAULTS = {
    "/ssm/automation/customer-script-log-destination": "",
    "/ssm/automation/enable-adaptive-concurrency": "False",
    "/ssm/documents/console/public-sharing-permission": "Enable",
    "/ssm/managed-instance/activation-tier": "standard",
    "/ssm/managed-instance/default-ec2-instance-management-role": "$None",
    "/ssm/opsinsights/opscenter": "Disabled",
    "/ssm/parameter-store/default-parameter-tier": "Standard",
    "/ssm/parameter-store/high-throughput-enabled": "false",
}


def patch():
    settings = {}  # by account, region and setting: value and time of change

    def key(self):
        name = "/ssm/" + self._get_param("SettingId").split("/ssm/", 1)[-1]
        if name not in DEFAULTS:
            raise JsonRESTError("ServiceSettingNotFound", "The specified service setting wasn't found.")
        return self.current_account, self.region, name

    def get_service_setting(self):
        account, region, name = key(self)
        value, changed = settings.get((account, region, name), (DEFAULTS[name], 0))
        return json.dumps({"ServiceSetting": {
            "SettingId": name, "SettingValue": value, "LastModifiedDate": changed,
            "LastModifiedUser": f"arn:aws:iam::{account}:root" if changed else "System",
            "ARN": f"arn:aws:ssm:{region}:{account}:servicesetting{name}",
            "Status": "Customized" if changed else "Default",
        }})

    def update_service_setting(self):
        settings[key(self)] = self._get_param("SettingValue"), time.time()
        return "{}"

    def reset_service_setting(self):
        settings.pop(key(self), None)
        return get_service_setting(self)

    for handler in (get_service_setting, update_service_setting, reset_service_setting):
        setattr(responses.SimpleSystemManagerResponse, handler.__name__, handler)
