"""Amazon RDS: an account that may restore a snapshot is listed once. moto lists it as often as it is added."""

from moto.rds.models import SnapshotAttributesMixin


def patch():
    moto = SnapshotAttributesMixin.modify_attribute

    def modify_attribute(self, attribute_name, values_to_add, values_to_remove):
        there = self.attributes.get(attribute_name, [])
        moto(self, attribute_name, [v for v in values_to_add or [] if v not in there], values_to_remove)

    SnapshotAttributesMixin.modify_attribute = modify_attribute
