"""Amazon API Gateway V2: UpdateStage, which moto lacks. What the call does not name stays."""

import json
from datetime import datetime

from moto.apigatewayv2.responses import ApiGatewayV2Response

SETTINGS = {
    "accessLogSettings": "access_log_settings",
    "autoDeploy": "auto_deploy",
    "clientCertificateId": "client_certificate_id",
    "defaultRouteSettings": "default_route_settings",
    "description": "description",
    "stageVariables": "stage_variables",
}


def patch():
    ApiGatewayV2Response.update_stage = update_stage


def update_stage(self):
    api_id, stage_name = self.path.split("/")[-3], self.path.split("/")[-1]
    stage = self.apigatewayv2_backend.get_stage(api_id, stage_name)
    wanted = json.loads(self.body)
    for member, attribute in SETTINGS.items():
        if member in wanted:
            setattr(stage, attribute, wanted[member])
    stage.route_settings = stage.route_settings | wanted.get("routeSettings", {})
    stage.updated = datetime.now()
    return 200, {}, json.dumps(stage.to_json())
