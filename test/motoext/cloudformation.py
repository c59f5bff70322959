"""AWS CloudFormation: UpdateStack sets the topics that a stack notifies.

moto ignores NotificationARNs in an update, and refuses an update that changes
nothing else as one that changes nothing.
"""

from moto.cloudformation.responses import CloudFormationResponse


def patch():
    update, differs = CloudFormationResponse.update_stack, CloudFormationResponse._validate_different_update

    def validate_different_update(self, incoming_params, stack_body, old_stack):
        topics = self._get_param("NotificationARNs")
        if topics is None or topics == old_stack.notification_arns:
            differs(self, incoming_params, stack_body, old_stack)

    def update_stack(self):
        answer = update(self)
        topics = self._get_param("NotificationARNs")
        if topics is not None:
            self.cloudformation_backend.get_stack(self._get_param("StackName")).notification_arns = topics
        return answer

    CloudFormationResponse.update_stack = update_stack
    CloudFormationResponse._validate_different_update = validate_different_update
