"""Amazon RDS: an account that may restore a snapshot is listed once (moto lists it
as often as it is added), an instance with the tag "emulator:takes-time" that was
modified is "modifying" when it is described next (who waits for the change to
begin would wait for ever), and a standby in another zone that is not asked for
at once is pending.
"""

from moto.core.responses import ActionResult
from moto.rds.models import SnapshotAttributesMixin
from moto.rds.responses import RDSResponse


def patch():
    moto = SnapshotAttributesMixin.modify_attribute

    def modify_attribute(self, attribute_name, values_to_add, values_to_remove):
        there = self.attributes.get(attribute_name, [])
        moto(self, attribute_name, [v for v in values_to_add or [] if v not in there], values_to_remove)

    SnapshotAttributesMixin.modify_attribute = modify_attribute

    modify, describe = RDSResponse.modify_db_instance, RDSResponse.describe_db_instances

    def modify_db_instance(self):
        later = {}
        if not self.params.get("ApplyImmediately") and self.params.get("MultiAZ") is not None:
            later["MultiAZ"] = self.params.pop("MultiAZ")
        answer = modify(self)
        instance = answer.result["DBInstance"]
        instance.modified = any(t["Key"] == "emulator:takes-time" for t in instance.tags)
        is_now = getattr(instance, "pending_modified_values", {})
        instance.pending_modified_values = {} if self.params.get("ApplyImmediately") else is_now | later
        return answer

    def describe_db_instances(self):
        for instance in self.backend.databases.values():
            if getattr(instance, "modified", False):
                instance.modified, instance.status = False, "modifying"
            elif instance.status == "modifying":
                instance.status = "available"
        return describe(self)

    RDSResponse.modify_db_instance, RDSResponse.describe_db_instances = modify_db_instance, describe_db_instances
