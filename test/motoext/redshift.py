"""Amazon Redshift: DescribeLoggingStatus says where a cluster logs only while it
does, and a prefix ends in a slash whether it was given one or not.
"""

from moto.redshift.models import RedshiftBackend


def patch():
    moto = RedshiftBackend.disable_logging

    def disable_logging(self, cluster_identifier):
        details = moto(self, cluster_identifier)
        details.update(BucketName="", S3KeyPrefix="", LogDestinationType="", LogExports=[])
        return details

    RedshiftBackend.disable_logging = disable_logging
    enable = RedshiftBackend.enable_logging

    def enable_logging(self, cluster_identifier, bucket_name, s3_key_prefix, *args, **named):
        if s3_key_prefix and not s3_key_prefix.endswith("/"):
            s3_key_prefix += "/"
        return enable(self, cluster_identifier, bucket_name, s3_key_prefix, *args, **named)

    RedshiftBackend.enable_logging = enable_logging
