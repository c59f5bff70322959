"""Amazon API Gateway: a patch value is text, "false" included. moto takes any text for true.

moto serves API Gateway V2 under the same name.
"""

from moto.apigateway.models import RestAPI

from . import apigatewayv2


def patch():
    apigatewayv2.patch()
    moto = RestAPI.apply_patch_operations

    def apply_patch_operations(self, patch_operations):
        moto(self, patch_operations)
        for op in patch_operations:
            if op["path"] == "/disableExecuteApiEndpoint" and op["op"] == "replace":
                self.disableExecuteApiEndpoint = op["value"] == "true"

    RestAPI.apply_patch_operations = apply_patch_operations
