"""AWS Systems Manager: service settings, DescribeInstanceInformation,
ListCommandInvocations and CancelCommand, which moto lacks, and commands that do a
little: of the commands that are sent, "echo TEXT" writes, "sleep N" takes its time
and "exit N" ends with a code. The public parameters of Windows images name one of
moto's. Running instances with an instance profile are
managed, as those are that may speak with Systems Manager.
"""

import datetime
import json
import time

from moto.core.exceptions import JsonRESTError
from moto.ec2.models import ec2_backends
from moto.ssm import models, responses

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

WINDOWS_IMAGES = "/aws/service/ami-windows-latest/"


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

    for handler in (get_service_setting, update_service_setting, reset_service_setting, describe_instance_information, list_command_invocations, cancel_command):
        setattr(responses.SimpleSystemManagerResponse, handler.__name__, handler)

    load = models.ParameterDict._check_loading_status

    def load_windows(self, key):
        load(self, key)
        if str(key).startswith(WINDOWS_IMAGES) and not dict.__contains__(self, key):
            images = ec2_backends[self.account_id][self.region_name].describe_images(filters={"platform": ["windows"]})
            if images:
                dict.__setitem__(self, key, [models.Parameter(
                    account_id=self.account_id, name=key, value=images[0].id, parameter_type="String", description=None, allowed_pattern=None,
                    keyid=None, last_modified_date=time.time(), version=1, data_type="aws:ec2:image",
                )])

    models.ParameterDict._check_loading_status = load_windows
    models.Command.response_object = command_object(models.Command.response_object)
    targets = models.Command._get_instance_ids_from_targets
    # Without targets moto takes all instances.
    models.Command._get_instance_ids_from_targets = lambda self: targets(self) if self.targets else []


def command_object(moto):
    """How a command is, by the time that has passed since it was sent."""

    def response_object(self):
        output, code, seconds = run(self)
        since = time.time() - self.requested_date_time.replace(tzinfo=self.requested_date_time.tzinfo or datetime.timezone.utc).timestamp()
        if getattr(self, "cancelled", False):
            status, code = "Cancelled", -1
        elif since < seconds:
            status, code = "InProgress", -1
        else:
            status = "Failed" if code else "Success"
        targets = len(self.instance_ids)
        self.outcome = status, code, output if status != "InProgress" else ""
        return moto(self) | {
            "Status": status, "StatusDetails": status, "TargetCount": targets,
            "CompletedCount": 0 if status == "InProgress" else targets, "ErrorCount": targets if status == "Failed" else 0,
        }

    return response_object


def run(command):
    """What the lines of a command write, the code that they end with, and how long they take."""
    output, seconds = [], 0.0
    for line in command.parameters.get("commands", []):
        word, _, rest = line.strip().partition(" ")
        if word == "echo":
            output.append(rest)
        elif word == "sleep":
            seconds += float(rest)
        elif word == "exit":
            return "\n".join(output), int(rest), seconds
    return "\n".join(output), 0, seconds


def describe_instance_information(self):
    """The managed instances. Both forms of filter are read, by instance and platform."""
    wanted = {f["key"]: f["valueSet"] for f in self._get_param("InstanceInformationFilterList") or []}
    wanted |= {f["Key"]: f["Values"] for f in self._get_param("Filters") or []}
    out = []
    for instance in ec2_backends[self.current_account][self.region].all_instances():
        if instance.state != "running" or not instance.iam_instance_profile:
            continue
        platform = "Windows" if instance.platform == "windows" else "Linux"
        if instance.id in wanted.get("InstanceIds", [instance.id]) and platform in wanted.get("PlatformTypes", [platform]):
            out.append({
                "InstanceId": instance.id, "PingStatus": "Online", "PlatformType": platform, "ResourceType": "EC2Instance",
                "IPAddress": instance.private_ip,
            })
    return json.dumps({"InstanceInformationList": out})


def list_command_invocations(self):
    commands = self.ssm_backend.list_commands(self._get_param("CommandId"), self._get_param("InstanceId"))
    out = []
    for command in commands:
        command.response_object()
        status, code, output = command.outcome
        plugin = {"Name": "aws:runShellScript", "Status": status, "StatusDetails": status, "ResponseCode": code, "Output": output[:2500]}
        for instance in command.instance_ids:
            out.append({
                "CommandId": command.command_id, "InstanceId": instance, "DocumentName": command.document_name, "Status": status,
                "StatusDetails": status, "CommandPlugins": [plugin] if self._get_param("Details") else [],
            })
    return json.dumps({"CommandInvocations": out})


def cancel_command(self):
    self.ssm_backend.get_command_by_id(self._get_param("CommandId")).cancelled = True
    return "{}"
