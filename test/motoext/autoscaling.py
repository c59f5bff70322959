"""Amazon EC2 Auto Scaling: a lifecycle hook notifies whom it was told to, and a
launch configuration always names a kernel and a RAM disk, if only as "".

moto invents a queue and a role for every hook, and forgets the real ones.
"""

from moto.autoscaling.models import FakeLaunchConfiguration
from moto.autoscaling.responses import AutoScalingResponse


def patch():
    init = FakeLaunchConfiguration.__init__

    def init_with_kernel(self, *args, **named):
        init(self, *args, **named)
        self.kernel_id, self.ramdisk_id = self.kernel_id or "", self.ramdisk_id or ""

    FakeLaunchConfiguration.__init__ = init_with_kernel

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
