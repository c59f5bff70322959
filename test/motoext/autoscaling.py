"""Amazon EC2 Auto Scaling: a lifecycle hook notifies whom it was told to.

moto invents a queue and a role for every hook, and forgets the real ones.
"""

from moto.autoscaling.responses import AutoScalingResponse


def patch():
    moto = AutoScalingResponse.put_lifecycle_hook

    def put_lifecycle_hook(self):
        answer = moto(self)
        name = f"{self._get_param('AutoScalingGroupName')}_{self._get_param('LifecycleHookName')}"
        hook = self.autoscaling_backend.lifecycle_hooks[name]
        hook.role_arn = self._get_param("RoleARN")
        hook.notification_target_arn = self._get_param("NotificationTargetARN")
        hook.notification_metadata = self._get_param("NotificationMetadata")
        return answer

    AutoScalingResponse.put_lifecycle_hook = put_lifecycle_hook
