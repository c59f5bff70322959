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
    def setting(self):
        """The settings of the account in the region, value and time of change by name, and the name asked for."""
        name = "/ssm/" + self._get_param("SettingId").split("/ssm/", 1)[-1]
        if name not in DEFAULTS:
            raise JsonRESTError("ServiceSettingNotFound", "The specified service setting wasn't found.")
        return self.ssm_backend.__dict__.setdefault("service_settings", {}), name

    def get_service_setting(self):
        settings, name = setting(self)
        account, region = self.current_account, self.region
        value, changed = settings.get(name, (DEFAULTS[name], 0))
        return json.dumps({"ServiceSetting": {
            "SettingId": name, "SettingValue": value, "LastModifiedDate": changed,
            "LastModifiedUser": f"arn:aws:iam::{account}:root" if changed else "System",
            "ARN": f"arn:aws:ssm:{region}:{account}:servicesetting{name}",
            "Status": "Customized" if changed else "Default",
        }})

    def update_service_setting(self):
        settings, name = setting(self)
        settings[name] = self._get_param("SettingValue"), time.time()
        return "{}"

    def reset_service_setting(self):
        settings, name = setting(self)
        settings.pop(name, None)
        return get_service_setting(self)

    for handler in (get_service_setting, update_service_setting, reset_service_setting):
        setattr(responses.SimpleSystemManagerResponse, handler.__name__, handler)
