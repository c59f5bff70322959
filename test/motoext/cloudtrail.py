"""AWS CloudTrail: PutInsightSelectors replaces the selectors. moto appends."""

from moto.cloudtrail.models import Trail


def patch():
    def put_insight_selectors(self, insight_selectors):
        self.insight_selectors = list(insight_selectors)

    Trail.put_insight_selectors = put_insight_selectors
