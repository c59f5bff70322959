"""AWS Step Functions: executions run, as moto's own interpreter does it. Without
being asked moto leaves them running for ever, and a machine that ran once cannot
be copied for the next execution.
"""

import copy

from moto.core.config import default_user_config
from moto.stepfunctions import models


def patch():
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    models.StateMachine.__deepcopy__ = lambda self, memo: copy.copy(self)
