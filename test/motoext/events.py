"""Amazon EventBridge: what leaves a rule arrives as AWS delivers it.

An event that is forwarded to the bus of another Region or account keeps its id,
time, account, Region and resources, needs a role and, in another account, a policy of
the bus that admits it, and is not forwarded again. A queue takes an event only if its
policy admits the rule; else it goes to the target's dead letters. moto makes a new
event of one that is forwarded, asks no policy, and leaves the account out.
"""

import copy
import fnmatch
import json

from moto.core.utils import unix_time
from moto.events.models import Rule, events_backends
from moto.sqs import sqs_backends

SERVICE = "events.amazonaws.com"


def as_list(value):
    return value if isinstance(value, list) else [value]


def holds(condition, context):
    """Whether a statement's condition holds; an operator that is not known here does not."""
    for operator, keys in (condition or {}).items():
        for key, wanted in keys.items():
            value = context.get(key.lower())
            if operator not in ("ArnEquals", "ArnLike", "StringEquals", "StringLike", "Bool") or value is None:
                return False
            if not any(fnmatch.fnmatchcase(value, str(w)) for w in as_list(wanted)):
                return False
    return True


def admits(policy, action, principals, context):
    """Whether a resource policy lets one of principals do action."""
    for statement in as_list(json.loads(policy or "{}").get("Statement", [])):
        who = statement.get("Principal", {})
        named = {"*"} if who == "*" else {n for names in who.values() for n in as_list(names)}
        if (
            statement.get("Effect") == "Allow"
            and action in as_list(statement.get("Action", []))
            and named & (principals | {"*"})
            and holds(statement.get("Condition"), context)
        ):
            return True
    return False


def queue_admits(rule, arn):
    """Whether the queue is in the rule's Region and its policy admits the rule."""
    _, _, _, region, account, name = arn.split(":", 5)
    queue = sqs_backends[account][region].queues.get(name)
    if queue is None or region != rule.region_name:
        return False
    return admits(json.dumps(queue._policy_json), "sqs:SendMessage", {SERVICE}, {"aws:sourcearn": rule.arn})


def forward(rule, target, event):
    """Puts the event on a bus of another Region or account; False where AWS would refuse."""
    _, _, _, region, account, resource = target["Arn"].split(":", 5)
    bus = events_backends[account][region].event_buses.get(resource.removeprefix("event-bus/"))
    if bus is None or not target.get("RoleArn"):
        return False
    if account != rule.account_id:
        context = {"aws:sourcearn": rule.arn, "events:source": event["source"], "events:eventbusinvocation": "true"}
        if not admits(bus.policy, "events:PutEvents", {rule.account_id, f"arn:aws:iam::{rule.account_id}:root"}, context):
            return False
    for other in list(bus.rules.values()):
        other.send_to_targets({**copy.deepcopy(event), "parry-forwarded": True})
    return True


def patch():
    moto = Rule.send_to_targets

    def deliver(rule, targets, event, transform):
        alone = copy.copy(rule)
        alone.targets = targets
        moto(alone, copy.deepcopy(event), transform and all("InputTransformer" in t for t in targets))

    def send_to_targets(self, original_event, transform_input=True):
        event = copy.deepcopy(original_event)
        forwarded = event.pop("parry-forwarded", False)
        if self.state != "ENABLED" or not self.event_pattern.matches_event(event):
            return
        for target in self.targets:
            arn = target["Arn"]
            if ":event-bus/" in arn:
                sent = not forwarded and forward(self, target, event)
            elif arn.startswith("arn:aws:sqs:"):
                sent = queue_admits(self, arn)
                if sent:
                    deliver(self, [target], event, transform_input)
            else:
                sent = True
                deliver(self, [target], event, transform_input)
            dead = target.get("DeadLetterConfig", {}).get("Arn")
            if not sent and dead and queue_admits(self, dead):
                deliver(self, [{"Id": "dead", "Arn": dead}], {**event, "time": event.get("time", unix_time())}, False)

    Rule.send_to_targets = send_to_targets
