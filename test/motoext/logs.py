"""Amazon CloudWatch Logs: AssociateKmsKey and DisassociateKmsKey, which moto lacks."""

from moto.logs import exceptions, responses


def patch():
    def group(self):
        name = self._get_param("logGroupName")
        if name not in self.logs_backend.groups:
            raise exceptions.ResourceNotFoundException()
        return self.logs_backend.groups[name]

    def associate_kms_key(self):
        group(self).kms_key_id = self._get_param("kmsKeyId")
        return ""

    def disassociate_kms_key(self):
        group(self).kms_key_id = None
        return ""

    responses.LogsResponse.associate_kms_key = associate_kms_key
    responses.LogsResponse.disassociate_kms_key = disassociate_kms_key
