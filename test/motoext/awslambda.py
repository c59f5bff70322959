"""AWS Lambda: UpdateFunctionConfiguration changes the tracing mode, a function
URL is BUFFERED by default, and AddPermission makes conditions of the
organization and of the URL's authentication. moto ignores the first, spells the
second otherwise and writes the third beside the statement's own members. It also
keeps the first settings of asynchronous invocations whatever follows. Invoke
answers without a container: a function answers its event, or the event's member
"answer"; one whose handler is index.fail reports that as an error.
"""

import json

from moto.awslambda import models, policy


def patch():
    update_configuration = models.LambdaFunction.update_configuration

    def update(self, config_updates):
        if "TracingConfig" in config_updates:
            self.tracing_config = config_updates["TracingConfig"]
        return update_configuration(self, config_updates)

    models.LambdaFunction.update_configuration = update

    to_dict = models.FunctionUrlConfig.to_dict

    def url_to_dict(self):
        self.config["InvokeMode"] = self.config.get("InvokeMode") or "BUFFERED"
        return to_dict(self)

    models.FunctionUrlConfig.to_dict = url_to_dict

    decode_policy = policy.Policy.decode_policy
    conditions = {"FunctionUrlAuthType": "lambda:FunctionUrlAuthType", "OrganizationId": "aws:PrincipalOrgID"}

    def decode(self, obj):
        named = {conditions[k]: obj.pop(k) for k in list(obj) if k in conditions}
        decoded = decode_policy(self, obj)
        if named:
            condition = decoded.statements[0].setdefault("Condition", {})
            condition.setdefault("StringEquals", {}).update(named)
        return decoded

    policy.Policy.decode_policy = decode

    put_config = models.LambdaBackend.put_function_event_invoke_config

    def put(self, function_name, config):
        self.get_function(function_name).event_invoke_config.clear()
        return put_config(self, function_name, config)

    def merge(self, function_name, config):
        is_now = self.get_function(function_name).event_invoke_config
        return put(self, function_name, (is_now[0].config if is_now else {}) | config)

    models.LambdaBackend.put_function_event_invoke_config = put
    models.LambdaBackend.update_function_event_invoke_config = merge

    def invoke(self, function_name, qualifier, body, headers, response_headers):
        function = self.get_function(function_name, qualifier)
        event = json.loads(body or "null")
        if isinstance(event, dict):
            event = event.get("answer", event)
        if function.handler.endswith(".fail"):
            response_headers["X-Amz-Function-Error"] = "Unhandled"
            event = {"errorType": "RuntimeError", "errorMessage": json.dumps(event)}
        return json.dumps(event).encode()

    models.LambdaBackend.invoke = invoke
