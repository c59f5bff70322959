"""Makes calls with boto3 against the recording server of TestLikeBotocore.

Reads JSON lines: {"n": first case number, "service", "operations": [...],
"seed"}. For each operation it makes two cases, one whose answer is a success
and one whose answer is an error, and for some a third with a wrong input. A
case is printed twice: with its input and the answer that the server is to give,
before the call; and with what boto3 made of the answer, after it.
"""

import base64
import datetime
import json
import math
import random
import sys

import boto3
import botocore.auth
import botocore.exceptions
import botocore.handlers
from botocore.config import Config

import answers
import values
import wrong

NOW = datetime.datetime(2024, 5, 6, 7, 8, 9)
# The signature is of this moment on both sides.
botocore.auth.get_current_datetime = lambda *a, **k: NOW


def plain(value):
    """Gives a form of value that JSON can hold and that keeps types apart."""
    if isinstance(value, datetime.datetime):
        return {"$time": value.astimezone(datetime.timezone.utc).isoformat()}
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, float):
        if math.isnan(value):
            return {"$float": "NaN"}
        return {"$float": {math.inf: "+Inf", -math.inf: "-Inf"}.get(value) or repr(value)}
    if hasattr(value, "read"):
        return plain(value.read())
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if value is None or isinstance(value, (str, int)):
        return value
    return repr(value)


def region(service):
    """Gives the region of the calls. With an endpoint of one's own, boto3 signs
    for the client's region and ours for the one where AWS has the service; so
    services that have one region alone are called there."""
    return "us-west-2" if service in ("networkmanager", "route53-recovery-control-config") else "us-east-1"


def say(**line):
    print(json.dumps(line), flush=True)


class Calls:
    """The calls of one service."""

    def __init__(self, service, endpoint):
        self.service, self.endpoint, self.n = service, endpoint, 0
        self.client = boto3.client(
            service,
            region_name=region(service),
            endpoint_url=endpoint,
            aws_access_key_id="AKIAPARRYTEST0000000",
            aws_secret_access_key="secret",
            aws_session_token="session/token+=",
            config=Config(
                retries={"total_max_attempts": 1},
                # Ours leaves it off by itself where the endpoint is an address.
                inject_host_prefix=False,
                # Bodies of 10 KB and more for the operations that allow it; AWS
                # takes them as they are too.
                disable_request_compression=True,
                read_timeout=20,
            ),
        )
        events = self.client.meta.events
        # Telemetry of attempts: it is signed, and differs in every request.
        events.unregister("request-created", botocore.handlers.add_retry_headers)
        events.register("before-send", self.number)
        events.register_first("request-created.s3-control", self.address)
        self.model = self.client.meta.service_model
        self.protocol = self.model.resolved_protocol
        self.methods = {v: k for k, v in self.client.meta.method_to_api_mapping.items()}

    def address(self, request, **kwargs):
        """Takes off the account that the rules put before an address, too."""
        request.url = request.url.replace("//111122223333.", "//")

    def number(self, request, **kwargs):
        request.headers["Parry-Case"] = str(self.n)

    def operation(self, name, n, seed):
        rng = random.Random(f"{seed}/{self.service}/{name}")
        source = values.Values(self.service, rng, self.endpoint)
        op = self.model.operation_model(name)
        success = source.input(op.output_shape, True) if op.output_shape else {}
        self.case(n, op, source.input(op.input_shape, True), "success", answers.success(self.protocol, op, success))
        error = rng.choice(op.error_shapes) if op.error_shapes and rng.random() < 0.8 else None
        value = source.structure(error, True, 0, []) if error is not None else {}
        answer = answers.failure(self.protocol, self.service, error, value, rng, op.http.get("method"))
        self.case(n + 1, op, source.input(op.input_shape, False), "error", answer)
        if op.input_shape is not None:
            bad = wrong.spoil(source.input(op.input_shape, True), op.input_shape, rng)
            self.case(n + 2, op, bad, "wrong", (200, {}, b""))

    def case(self, n, op, given, kind, answer):
        self.n = n
        status, headers, body = answer
        say(n=n, service=self.service, operation=op.name, kind=kind, region=region(self.service), input=plain(given), status=status, headers=headers, body=base64.b64encode(body).decode())
        say(n=n, **self.call(self.methods[op.name], given))

    def call(self, method, given):
        try:
            return {"output": plain(getattr(self.client, method)(**given))}
        except botocore.exceptions.ClientError as e:
            return {"error": plain(e.response)}
        except botocore.exceptions.ParamValidationError as e:
            return {"invalid": str(e)}
        except Exception as e:  # the test shows what botocore could not do
            return {"raised": repr(e)[:2000]}


def main():
    endpoint, token = sys.argv[1:]
    botocore.handlers.uuid.uuid4 = lambda: token  # of both sides
    for line in sys.stdin:
        job = json.loads(line)
        calls = Calls(job["service"], endpoint)
        for i, name in enumerate(job["operations"]):
            calls.operation(name, job["n"] + 3 * i, job["seed"])
        say(done=job["service"])


if __name__ == "__main__":
    main()
