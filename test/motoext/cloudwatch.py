"""Amazon CloudWatch: EnableAlarmActions and DisableAlarmActions, which moto lacks."""

from moto.cloudwatch import responses
from moto.core.responses import EmptyResult


def patch():
    def switch(on):
        def handler(self):
            for name in self._get_param("AlarmNames", []):
                if alarm := self.cloudwatch_backend.alarms.get(name):
                    alarm.actions_enabled = on
            return EmptyResult()

        return handler

    responses.CloudWatchResponse.enable_alarm_actions = switch(True)
    responses.CloudWatchResponse.disable_alarm_actions = switch(False)
