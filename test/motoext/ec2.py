"""Amazon EC2: ModifyInstanceMetadataOptions keeps the options that the call
does not name. moto forgets them.
"""

from moto.ec2.models import instances


def patch():
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

    instances.InstanceBackend.modify_instance_metadata_options = modify_instance_metadata_options
