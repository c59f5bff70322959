"""Amazon SNS: the attributes of delivery status logging, which moto takes and
then does not give back ("SetTopicAttributes" in the API reference).
"""

from moto.core.utils import camelcase_to_underscores
from moto.sns.responses import SNSResponse

PROTOCOLS = ("HTTP", "Firehose", "Lambda", "Application", "SQS")
KINDS = ("SuccessFeedbackRoleArn", "FailureFeedbackRoleArn", "SuccessFeedbackSampleRate")


def patch():
    moto = SNSResponse.get_topic_attributes

    def get_topic_attributes(self):
        answer = moto(self)
        topic = self.backend.get_topic(self._get_param("TopicArn"))
        for name in (protocol + kind for protocol in PROTOCOLS for kind in KINDS):
            value = getattr(topic, camelcase_to_underscores(name), None)
            if value:
                answer.result["Attributes"][name] = value
        return answer

    SNSResponse.get_topic_attributes = get_topic_attributes
