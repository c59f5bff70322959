"""Amazon Redshift: DescribeLoggingStatus says where a cluster logs only while it does."""

from moto.redshift.models import RedshiftBackend


def patch():
    moto = RedshiftBackend.disable_logging

    def disable_logging(self, cluster_identifier):
        details = moto(self, cluster_identifier)
        details.update(BucketName="", S3KeyPrefix="", LogDestinationType="", LogExports=[])
        return details

    RedshiftBackend.disable_logging = disable_logging
