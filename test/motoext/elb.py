"""Elastic Load Balancing (classic): attributes that a call does not name stay.

moto adds one more desync mitigation mode with every call that names none.
"""

from moto.elb.models import ELBBackend


def patch():
    moto = ELBBackend.modify_load_balancer_attributes

    def modify_load_balancer_attributes(self, load_balancer_name, additional_attributes=None, **named):
        attributes = self.get_load_balancer(load_balancer_name).attributes
        before = list(attributes["additional_attributes"] or [])
        moto(self, load_balancer_name, additional_attributes=additional_attributes, **named)
        if not additional_attributes:
            attributes["additional_attributes"] = before

    ELBBackend.modify_load_balancer_attributes = modify_load_balancer_attributes
