"""What makes the real boto3 speak through the socket of the execution.

This is convenience, not the boundary: a script that undoes it reaches a kernel
that refuses, and nothing else.
"""
import copy
import errno
import functools
import io
import os
import socket
import subprocess
import sys
import time

# Handlers of botocore whose work is the gate's (docs/design/0004). They only
# see a copy here, so that what they would refuse is refused, and what they
# would rewrite is not rewritten twice.
GATE_EVENTS = ("before-parameter-build", "after-call", "before-call")
DUMMY_KEY = "PARRYSANDBOX"
EXPLAIN = "scripts reach AWS through boto3 only, and boto3 through Parry"


class ParrySandboxError(PermissionError):
    """The sandbox has not what the script asked for."""

    def __init__(self, message):
        super().__init__(errno.EPERM, message)
        self.message = message

    def __str__(self):
        return "ParrySandboxError: " + self.message


def refuse(what):
    """Gives a function that says why what cannot be had."""

    def refused(*_args, **_kwargs):
        raise ParrySandboxError(f"{what} is not available in a script's sandbox: {EXPLAIN}")

    return refused


def prepare():
    """Runs once, before the first fork: takes over what the gate does."""
    import botocore.client
    import botocore.handlers
    import botocore.hooks
    import botocore.loaders

    checks = botocore.hooks.HierarchicalEmitter()
    kept = []
    for spec in botocore.handlers.BUILTIN_HANDLERS:
        event = spec[0]
        if not event.startswith(GATE_EVENTS):
            kept.append(spec)
        elif event.startswith("before-parameter-build"):
            checks.register(event, spec[1])
    botocore.handlers.BUILTIN_HANDLERS[:] = kept
    loader = botocore.loaders.create_loader()
    # One loader for all sessions: what one fork's parent has read, none reads again.
    botocore.loaders.create_loader = lambda search_path_string=None: loader
    import botocore.session

    botocore.session.create_loader = botocore.loaders.create_loader
    _share_methods(botocore.client.ClientCreator)
    return checks


def _share_methods(creator):
    """Makes the hundreds of methods of a service's client once for all forks: they
    hold the model, and nothing of a session but its documentation."""
    original, made = creator._create_methods, {}

    def create_methods(self, service_model):
        key = (service_model.service_name, service_model.api_version)
        if key not in made:
            made[key] = original(self, service_model)
        return dict(made[key])

    creator._create_methods = create_methods


def install(channel, checks, planning):
    """Runs in the child: boto3 asks the gate from here on."""
    import botocore.client
    import botocore.signers

    botocore.client.BaseClient._make_api_call = functools.partialmethod(_make_api_call, _Gate(channel, checks))
    botocore.signers.RequestSigner.generate_presigned_url = refuse("a presigned URL")
    botocore.signers.S3PostPresigner.generate_presigned_post = refuse("a presigned POST")
    import botocore.httpsession

    botocore.httpsession.URLLib3Session.send = refuse("a request without a boto3 client")
    _no_network()
    _no_processes()
    if planning:
        _no_waiting()


class _Gate:
    def __init__(self, channel, checks):
        self.channel = channel
        self.checks = checks


def _make_api_call(client, gate, operation_name, api_params):
    model = client._service_model.operation_model(operation_name)
    if model.has_event_stream_output or model.has_event_stream_input:
        raise ParrySandboxError(f"{operation_name} speaks in event streams, which no plan can hold")
    context = {
        "client_region": client.meta.region_name,
        "client_config": client.meta.config,
        "has_streaming_input": model.has_streaming_input,
        "auth_type": model.auth_type,
    }
    params = client._emit_api_params(api_params=api_params, operation_model=model, context=context)
    _validate(client, gate, model, params, context)
    service_id = client._service_model.service_id.hyphenize()
    answer = gate.channel.call({
        "t": "call",
        "service": client._service_model.service_name,
        "operation": operation_name,
        "region": client.meta.region_name or "",
        "as": _identity(client),
        "input": params,
    })
    if "error" in answer:
        _raise(client, operation_name, answer["error"])
    parsed = answer["output"]
    _streams(model, parsed)
    client.meta.events.emit(
        f"after-call.{service_id}.{operation_name}", http_response=_Response(parsed), parsed=parsed, model=model, context=context
    )
    return parsed


class _Response:
    """What handlers of a script may ask of the answer."""

    def __init__(self, parsed):
        meta = parsed.get("ResponseMetadata") or {}
        self.status_code = meta.get("HTTPStatusCode", 200)
        self.headers = meta.get("HTTPHeaders", {})


def _validate(client, gate, model, params, context):
    """Checks as botocore does, on a copy that its own handlers may rewrite."""
    if model.input_shape is None:
        return
    copied = _copy(params)
    service_id = client._service_model.service_id.hyphenize()
    name = f"before-parameter-build.{service_id}.{model.name}"
    for _, response in gate.checks.emit(name, params=copied, model=model, context=dict(context)):
        if response is not None:
            copied = response
    from botocore.exceptions import ParamValidationError
    from botocore.validate import ParamValidator

    report = ParamValidator().validate(copied, model.input_shape)
    if report.has_errors():
        raise ParamValidationError(report=report.generate_report())


def _copy(value):
    """A deep copy that leaves streams where they are."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    if hasattr(value, "read"):
        return value
    return copy.copy(value)


def _identity(client):
    credentials = client._request_signer._credentials
    if credentials is None:
        return ""
    key = credentials.access_key
    return "" if key == DUMMY_KEY else key


def _streams(model, parsed):
    """Gives a streaming member as the stream that boto3 gives."""
    from botocore.response import StreamingBody

    body = model.get_streaming_output()
    if body is None:
        return
    for name, shape in model.output_shape.members.items():
        if shape is body and isinstance(parsed.get(name), (bytes, str)):
            data = parsed[name]
            data = data.encode() if isinstance(data, str) else data
            parsed[name] = StreamingBody(io.BytesIO(data), len(data))


def _raise(client, operation_name, error):
    from botocore import exceptions

    kind = error.get("kind")
    if kind == "api":
        raise client.exceptions.from_code(error["code"])(error["response"], operation_name)
    if kind == "invalid":
        raise exceptions.ParamValidationError(report=error["message"])
    if kind == "unavailable":
        raise exceptions.ConnectionError(error=error["message"])
    raise ParrySandboxError(error["message"])


def _no_network():
    real = socket.socket

    class Socket(real):
        """A socket that exists already may be wrapped, none may be made."""

        def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
            if fileno is None:
                refuse("the network")()
            super().__init__(family, type, proto, fileno)

    socket.socket = socket.SocketType = Socket
    for name in ("create_connection", "create_server", "getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        setattr(socket, name, refuse("the network"))
    for name in ("urllib3.util.connection", "urllib.request", "http.client"):
        module = sys.modules.get(name)
        if module is not None and hasattr(module, "create_connection"):
            module.create_connection = refuse("the network")


def _no_processes():
    class Popen(subprocess.Popen):
        """Keeps the name that other modules derive from."""

        def __init__(self, args=(), *_rest, **_kwargs):
            program = args if isinstance(args, str) else " ".join(map(str, args))
            refuse(f"starting the program {program.split(' ')[0][:100]!r}")()

        def __del__(self, *_args, **_kwargs):
            pass

    subprocess.Popen = Popen
    for name in ("system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp"):
        if hasattr(os, name):
            setattr(os, name, refuse("starting a program"))
    for name in dir(os):
        if name.startswith(("exec", "spawn")):
            setattr(os, name, refuse("starting a program"))


def _no_waiting():
    """Planning does not wait: nothing that was only recorded ever happens."""
    time.sleep = lambda _seconds: None
    import botocore.waiter

    wait = botocore.waiter.Waiter.wait

    def once(self, **kwargs):
        config = dict(kwargs.pop("WaiterConfig", {}), Delay=0, MaxAttempts=1)
        try:
            wait(self, WaiterConfig=config, **kwargs)
        except botocore.exceptions.WaiterError as e:
            if not str(e.kwargs.get("reason", "")).startswith("Max attempts exceeded"):
                raise

    botocore.waiter.Waiter.wait = once
