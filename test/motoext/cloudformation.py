"""AWS CloudFormation: UpdateStack sets the topics that a stack notifies, and policies
of queues and event buses are resources.

moto does not say which units a stack set is deployed to, ignores
NotificationARNs in an update, and refuses an update that changes
nothing else as one that changes nothing. AWS::SQS::QueuePolicy and
AWS::Events::EventBusPolicy it passes over, and it leaves a hole in a list where
AWS::NoValue is.
"""

import json

from moto.cloudformation import models, parsing
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.common_models import CloudFormationModel
from moto.events.models import EventBus, events_backends
from moto.sqs.models import sqs_backends


def patch():
    update, differs = CloudFormationResponse.update_stack, CloudFormationResponse._validate_different_update

    def validate_different_update(self, incoming_params, stack_body, old_stack):
        topics = self._get_param("NotificationARNs")
        if topics is None or topics == old_stack.notification_arns:
            differs(self, incoming_params, stack_body, old_stack)

    def update_stack(self):
        answer = update(self)
        topics = self._get_param("NotificationARNs")
        if topics is not None:
            self.cloudformation_backend.get_stack(self._get_param("StackName")).notification_arns = topics
        return answer

    create_instances = models.StackInstances.create_instances

    def create_in_units(self, accounts, regions, parameters, deployment_targets, permission_model):
        made = create_instances(self, accounts, regions, parameters, deployment_targets, permission_model)
        units = self.__dict__.setdefault("units", [])
        units.extend(u for u in deployment_targets.get("OrganizationalUnitIds", []) if u not in units)
        return made

    models.StackInstances.create_instances = create_in_units
    models.StackSet.organizational_unit_ids = property(lambda stackset: stackset.instances.__dict__.get("units", []))
    clean = parsing.clean_json

    def clean_json(resource_json, resources_map):
        cleaned = clean(resource_json, resources_map)
        if isinstance(resource_json, list):
            return [v for v in cleaned if v is not None]
        return cleaned

    parsing.clean_json = clean_json  # AWS::NoValue takes itself out of a list
    EventBus.physical_resource_id = property(lambda bus: bus.name)  # what Ref gives
    CloudFormationResponse.update_stack = update_stack
    CloudFormationResponse._validate_different_update = validate_different_update


class Policy:
    """A resource policy that is a resource of CloudFormation, which moto lacks."""

    def __init__(self, name):
        self.name = name

    @property
    def physical_resource_id(self):
        return self.name

    @classmethod
    def has_cfn_attr(cls, attr):
        return attr == "Id"

    @staticmethod
    def cloudformation_name_type():
        return ""

    @classmethod
    def update_from_cloudformation_json(cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name):
        return cls.create_from_cloudformation_json(new_resource_name, cloudformation_json, account_id, region_name)

    def is_created(self):
        return True


class QueuePolicy(Policy, CloudFormationModel):
    @staticmethod
    def cloudformation_type():
        return "AWS::SQS::QueuePolicy"

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **_):
        properties = cloudformation_json["Properties"]
        cls.set(properties["Queues"], json.dumps(properties["PolicyDocument"]), account_id, region_name)
        return cls(resource_name)

    @staticmethod
    def set(queues, policy, account_id, region_name):
        for url in queues:
            sqs_backends[account_id][region_name].set_queue_attributes(url.split("/")[-1], {"Policy": policy})

    @classmethod
    def delete_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name):
        cls.set(cloudformation_json["Properties"]["Queues"], "", account_id, region_name)


class EventBusPolicy(Policy, CloudFormationModel):
    @staticmethod
    def cloudformation_type():
        return "AWS::Events::EventBusPolicy"

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **_):
        properties = cloudformation_json["Properties"]
        statement = {"Sid": properties["StatementId"], **properties["Statement"]}
        bus = events_backends[account_id][region_name].event_buses[properties["EventBusName"]]
        bus.add_policy({"Version": "2012-10-17", "Statement": [statement]})
        return cls(resource_name)

    @classmethod
    def delete_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name):
        properties = cloudformation_json["Properties"]
        bus = events_backends[account_id][region_name].event_buses.get(properties["EventBusName"])
        if bus is not None:
            bus._statements.pop(properties["StatementId"], None)
