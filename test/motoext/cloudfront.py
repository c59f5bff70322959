"""Amazon CloudFront: the ARN of a distribution, from which moto leaves out the
(empty) region: arn:aws:cloudfront::123456789012:distribution/ID. And an origin
in S3 is described as one even where no identity is set.
"""

from moto.cloudfront.models import Distribution, Origin


def patch():
    moto = Distribution.__init__

    def init(self, *args, **named):
        moto(self, *args, **named)
        self.arn = self.arn.replace(":cloudfront:", ":cloudfront::", 1)

    Distribution.__init__ = init
    moto_origin = Origin.__init__

    def init_origin(self, origin):
        moto_origin(self, origin)
        if "S3OriginConfig" in origin:
            self.s3_origin_config = {"OriginAccessIdentity": self.s3_access_identity or ""}

    Origin.__init__ = init_origin
