"""AWS KMS: rotation has a period. moto knows only whether a key is rotated."""

import json

from moto.kms.responses import KmsResponse


def patch():
    moto_enable, moto_status = KmsResponse.enable_key_rotation, KmsResponse.get_key_rotation_status

    def enable_key_rotation(self):
        answer = moto_enable(self)
        key = self.kms_backend.describe_key(self._get_param("KeyId"))
        key.rotation_period = self._get_param("RotationPeriodInDays") or getattr(key, "rotation_period", 365)
        return answer

    def get_key_rotation_status(self):
        status = json.loads(moto_status(self))
        key = self.kms_backend.describe_key(self._get_param("KeyId"))
        if status["KeyRotationEnabled"]:
            status["RotationPeriodInDays"] = getattr(key, "rotation_period", 365)
        return json.dumps({"KeyId": key.id, **status})

    KmsResponse.enable_key_rotation = enable_key_rotation
    KmsResponse.get_key_rotation_status = get_key_rotation_status
