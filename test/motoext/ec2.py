"""Amazon EC2: settings of an account in a region, and what moto forgets.

moto lacks Block Public Access for images, snapshots and VPCs, access to the
serial console, default metadata options, detailed monitoring and the resets of
sharing attributes. It forgets the metadata options that a call does not name,
the shutdown behaviour of an instance, that DetachVolume needs no more than the volume, that a dry run changes nothing, the structured form of
ModifySnapshotAttribute, whose snapshots DescribeSnapshots is asked for, that a volume is made once for a client token, and which Regions an account has on. The answers follow the
Amazon EC2 API reference.
"""

from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import camelcase_to_underscores
from moto.ec2.models import instances
from moto.ec2.models.elastic_block_store import EBSBackend
from moto.ec2.responses import EC2Response

from . import account

METADATA_DEFAULTS = ("HttpTokens", "HttpPutResponseHopLimit", "HttpEndpoint", "InstanceMetadataTags")


def settings(response):
    """The settings of the caller's account and region."""
    backend = response.ec2_backend
    if not hasattr(backend, "account_settings"):
        backend.account_settings = {
            "ImageBlockPublicAccessState": "unblocked",
            "SnapshotState": "unblocked",
            "SerialConsoleAccessEnabled": False,
            "MetadataDefaults": {},
            "InternetGatewayBlockMode": "off",
        }
    return backend.account_settings


def patch():
    call_action = EC2Response.call_action

    def call_unless_dry(self):
        # A dry run changes nothing; moto minds the flag in some operations only.
        if self._get_param("DryRun", False):
            setattr(self, camelcase_to_underscores(self._get_action()), self.error_on_dryrun)
        return call_action(self)

    EC2Response.call_action = call_unless_dry
    create_volume = EC2Response.create_volume

    def create_volume_once(self):
        # The answer of the first request with a token is that of all.
        token = self._get_param("ClientToken")
        kept = self.ec2_backend.__dict__.setdefault("volume_tokens", {})
        if token is None or token not in kept:
            answer = create_volume(self)
            if token is None:
                return answer
            kept[token] = answer
        return kept[token]

    EC2Response.create_volume = create_volume_once
    instances.InstanceBackend.modify_instance_metadata_options = modify_instance_metadata_options
    detach_volume = EBSBackend.detach_volume

    def detach(self, volume_id, instance_id, device_path):
        attachment = self.get_volume(volume_id).attachment
        return detach_volume(self, volume_id, instance_id or (attachment and attachment.instance.id), device_path)

    EBSBackend.detach_volume = detach
    for name, method in list(globals().items()):
        if getattr(method, "is_operation", False):
            setattr(EC2Response, name, method)


def operation(method):
    method.is_operation = True
    return method


def modify_instance_metadata_options(
    self, instance_id, http_tokens=None, hop_limit=None, http_endpoint=None, dry_run=False, http_protocol=None, metadata_tags=None
):
    options = self.get_instance(instance_id).metadata_options
    named = {
        "http_tokens": http_tokens,
        "http_put_response_hop_limit": hop_limit,
        "http_endpoint": http_endpoint,
        "http_protocol_ipv6": http_protocol,
        "instance_metadata_tags": metadata_tags,
    }
    for name, value in named.items():
        if value is not None:
            setattr(options, name, value)
    return options


@operation
def describe_regions(self):
    """The Regions by name, those that are off only where all are asked for or they are named."""
    self.error_on_dryrun()
    names = self._get_param("RegionNames", [])
    everything = names or self._get_param("AllRegions", False)
    regions = []
    for r in self.ec2_backend.describe_regions(names):
        status = account.opt_in_status(self.current_account, r.name)
        if everything or status != "not-opted-in":
            regions.append({"RegionName": r.name, "Endpoint": r.endpoint, "OptInStatus": status})
    return ActionResult({"Regions": regions})


@operation
def get_image_block_public_access_state(self):
    return ActionResult({"ImageBlockPublicAccessState": settings(self)["ImageBlockPublicAccessState"], "ManagedBy": "account"})


@operation
def enable_image_block_public_access(self):
    self.error_on_dryrun()
    settings(self)["ImageBlockPublicAccessState"] = self._get_param("ImageBlockPublicAccessState")
    return ActionResult({"ImageBlockPublicAccessState": settings(self)["ImageBlockPublicAccessState"]})


@operation
def disable_image_block_public_access(self):
    self.error_on_dryrun()
    settings(self)["ImageBlockPublicAccessState"] = "unblocked"
    return ActionResult({"ImageBlockPublicAccessState": "unblocked"})


@operation
def get_snapshot_block_public_access_state(self):
    return ActionResult({"State": settings(self)["SnapshotState"], "ManagedBy": "account"})


@operation
def enable_snapshot_block_public_access(self):
    self.error_on_dryrun()
    settings(self)["SnapshotState"] = self._get_param("State")
    return ActionResult({"State": settings(self)["SnapshotState"]})


@operation
def disable_snapshot_block_public_access(self):
    self.error_on_dryrun()
    settings(self)["SnapshotState"] = "unblocked"
    return ActionResult({"State": "unblocked"})


@operation
def get_serial_console_access_status(self):
    return ActionResult({"SerialConsoleAccessEnabled": settings(self)["SerialConsoleAccessEnabled"], "ManagedBy": "account"})


@operation
def enable_serial_console_access(self):
    self.error_on_dryrun()
    settings(self)["SerialConsoleAccessEnabled"] = True
    return ActionResult({"SerialConsoleAccessEnabled": True})


@operation
def disable_serial_console_access(self):
    self.error_on_dryrun()
    settings(self)["SerialConsoleAccessEnabled"] = False
    return ActionResult({"SerialConsoleAccessEnabled": False})


@operation
def get_instance_metadata_defaults(self):
    return ActionResult({"AccountLevel": settings(self)["MetadataDefaults"]})


@operation
def modify_instance_metadata_defaults(self):
    """Only what is named changes; no-preference (-1 for the hop limit) takes a default away."""
    self.error_on_dryrun()
    defaults = settings(self)["MetadataDefaults"]
    for name in METADATA_DEFAULTS:
        value = self._get_int_param(name) if name == "HttpPutResponseHopLimit" else self._get_param(name)
        if value is None:
            continue
        if value in ("no-preference", -1):
            defaults.pop(name, None)
        else:
            defaults[name] = value
    return ActionResult({"Return": True})


def vpc_block(response):
    return {
        "AwsAccountId": response.current_account,
        "AwsRegion": response.region,
        "InternetGatewayBlockMode": settings(response)["InternetGatewayBlockMode"],
        "State": "update-complete",
        "ManagedBy": "account",
        "ExclusionsAllowed": "allowed",
    }


@operation
def describe_vpc_block_public_access_options(self):
    return ActionResult({"VpcBlockPublicAccessOptions": vpc_block(self)})


@operation
def modify_vpc_block_public_access_options(self):
    self.error_on_dryrun()
    settings(self)["InternetGatewayBlockMode"] = self._get_param("InternetGatewayBlockMode")
    return ActionResult({"VpcBlockPublicAccessOptions": vpc_block(self)})


@operation
def get_ebs_default_kms_key_id(self):
    return ActionResult({"KmsKeyId": settings(self).get("EbsKey", "alias/aws/ebs")})


@operation
def modify_ebs_default_kms_key_id(self):
    self.error_on_dryrun()
    settings(self)["EbsKey"] = self._get_param("KmsKeyId")
    return ActionResult({"KmsKeyId": settings(self)["EbsKey"]})


@operation
def reset_ebs_default_kms_key_id(self):
    self.error_on_dryrun()
    settings(self).pop("EbsKey", None)
    return ActionResult({"KmsKeyId": "alias/aws/ebs"})


def set_monitoring(response, state):
    """Answers the state on its way, as EC2 does, and keeps the one it ends in."""
    response.error_on_dryrun()
    chosen = response.ec2_backend.get_multi_instances_by_id(response._get_param("InstanceIds", []))
    for instance in chosen:
        instance.monitoring_state = state
    on_its_way = {"enabled": "pending", "disabled": "disabling"}[state]
    return ActionResult({"InstanceMonitorings": [{"InstanceId": i.id, "Monitoring": {"State": on_its_way}} for i in chosen]})


moto_modify_instance_attribute = EC2Response.modify_instance_attribute


@operation
def modify_instance_attribute(self):
    behaviour = self._get_param("InstanceInitiatedShutdownBehavior.Value")
    if behaviour is None:
        return moto_modify_instance_attribute(self)
    self.error_on_dryrun()
    self.ec2_backend.modify_instance_attribute(self._get_param("InstanceId"), "instance_initiated_shutdown_behavior", behaviour)
    return EmptyResult()


@operation
def monitor_instances(self):
    return set_monitoring(self, "enabled")


@operation
def unmonitor_instances(self):
    return set_monitoring(self, "disabled")


@operation
def modify_snapshot_attribute(self):
    self.error_on_dryrun()
    snapshot = self._get_param("SnapshotId")
    named = {"add": self._get_param("CreateVolumePermission.Add", []), "remove": self._get_param("CreateVolumePermission.Remove", [])}
    kind = self._get_param("OperationType")
    if kind:
        named[kind] = [{"Group": g} for g in self._get_param("GroupNames", [])] + [{"UserId": u} for u in self._get_param("UserIds", [])]
    for kind, change in (
        ("add", self.ec2_backend.add_create_volume_permission),
        ("remove", self.ec2_backend.remove_create_volume_permission),
    ):
        groups = [p["Group"] for p in named[kind] if p.get("Group")]
        users = [p["UserId"] for p in named[kind] if p.get("UserId")]
        if groups or users:
            change(snapshot, user_ids=users, groups=groups)
    return EmptyResult()


@operation
def reset_snapshot_attribute(self):
    self.error_on_dryrun()
    snapshot = self._get_param("SnapshotId")
    groups = list(self.ec2_backend.get_create_volume_permission_groups(snapshot))
    users = list(self.ec2_backend.get_create_volume_permission_userids(snapshot))
    self.ec2_backend.remove_create_volume_permission(snapshot, user_ids=users, groups=groups)
    return EmptyResult()


@operation
def reset_image_attribute(self):
    self.error_on_dryrun()
    self.ec2_backend.describe_images(ami_ids=[self._get_param("ImageId")])[0].launch_permissions = []
    return EmptyResult()


moto_describe_snapshots = EC2Response.describe_snapshots


@operation
def describe_snapshots(self):
    answer = moto_describe_snapshots(self)
    owners = [self.current_account if o == "self" else o for o in self._get_param("OwnerIds", [])]
    restorable = self._get_param("RestorableByUserIds", [])

    def wanted(snapshot):
        if owners and snapshot.owner_id not in owners:
            return False
        who = set(snapshot.create_volume_permission_groups) | set(snapshot.create_volume_permission_userids) | {snapshot.owner_id}
        return not restorable or any((self.current_account if r == "self" else r) in who for r in restorable)

    answer.result["Snapshots"] = [s for s in answer.result["Snapshots"] if wanted(s)]
    return answer
