"""One execution: from the job on the socket to its result."""
import importlib
import io
import json
import linecache
import os
import sys
import traceback
import types
import zipfile

import patch
from channel import Channel, Closed

INLINE = "script.py"
MAX_TRACE = 20_000
MAX_MESSAGE = 10_000


def serve(sock, cfg, tmp, checks):
    """Runs in the child, shut in already, until its end."""
    limits = cfg["limits"]
    channel = Channel(sock, limits["request"], limits["reply"])
    try:
        channel.send({"t": "ready"})
        job = channel.receive()
        if job["t"] == "analyze":
            _analyze(channel, job)
        else:
            _run(channel, job, limits, tmp, checks)
    except (Closed, OSError):
        pass


def _analyze(channel, job):
    """Reads scripts one after the other; none of them is run."""
    import analyze

    while True:
        channel.send({"t": "facts", **analyze.analyze(job["source"])})
        job = channel.receive()


def _run(channel, job, limits, tmp, checks):
    script = _Script(tmp)
    try:
        sys.stdout = _output(channel, 1, limits["output"])
        sys.stderr = _output(channel, 2, limits["output"])
        _environment(job, tmp)
        if checks is not None:
            patch.install(channel, checks, job.get("planning", False))
        handler = script.load(job)
        channel.send({"t": "entered"})
        result = handler(json.loads(job["payload"]), job.get("context") or {})
        message = _result(result, limits["payload"])
    except Closed:
        raise
    except BaseException as e:  # a script may raise anything, SystemExit too
        message = script.failure(e)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # the script may have replaced it by anything
            pass
    channel.send(message)


def _result(result, limit):
    try:
        text = json.dumps(result, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as e:
        return _fail("TypeError", f"the handler's return value is not JSON: {e}", "", "result")
    if len(text.encode()) > limit:
        return _fail("ValueError", f"the handler's return value has {len(text.encode())} bytes as JSON, the limit is {limit}", "", "payload")
    return {"t": "done", "payload": text}


def _fail(kind, message, trace, limit=""):
    return {"t": "fail", "type": kind[:500], "message": message[:MAX_MESSAGE], "traceback": trace[:MAX_TRACE], "limit": limit}


def _output(channel, stream, limit):
    raw = _Raw(channel, stream, limit)
    return io.TextIOWrapper(io.BufferedWriter(raw, 8192), encoding="utf-8", errors="backslashreplace", line_buffering=True)


class _Raw(io.RawIOBase):
    """Sends what is printed, up to the limit; the rest is dropped."""

    def __init__(self, channel, stream, limit):
        super().__init__()
        self._channel = channel
        self._stream = stream
        self._left = limit

    def writable(self):
        return True

    def write(self, data):
        size = len(data)
        if self._left > 0:
            # One byte more than the limit tells the other side that it was cut.
            part = bytes(data[: self._left + 1])
            self._left -= len(part)
            self._channel.send({"t": "out", "s": self._stream, "b": part})
        return size


def _environment(job, tmp):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        os.environ[name] = job.get("region") or "us-east-1"
    os.environ["TMPDIR"] = tmp
    os.environ["HOME"] = tmp
    os.chdir(tmp)


class _Script:
    def __init__(self, tmp):
        self._folder = os.path.join(tmp, "attachments")
        self._files = (INLINE,)

    def load(self, job):
        """Gives the handler."""
        self._attachments(job.get("attachments") or {})
        name = job["handler"]
        source = job.get("source") or ""
        if source:
            lines = source.splitlines(keepends=True)
            linecache.cache[INLINE] = (len(source), None, lines, INLINE)
            module = types.ModuleType("script")
            module.__file__ = INLINE
            sys.modules["script"] = module
            exec(compile(source, INLINE, "exec", dont_inherit=True), module.__dict__)
            function = name.rsplit(".", 1)[-1]
        else:
            file, _, function = name.rpartition(".")
            if not file:
                raise ImportError(f"the handler {name!r} names no file: write it as file.function")
            module = importlib.import_module(file.replace("/", "."))
        handler = getattr(module, function, None)
        if not callable(handler):
            raise AttributeError(f"the script has no function {function!r}, which Handler names")
        return handler

    def _attachments(self, files):
        if not files:
            return
        os.makedirs(self._folder, exist_ok=True)
        for name, data in files.items():
            path = os.path.join(self._folder, os.path.basename(name))
            with open(path, "wb") as f:
                f.write(data)
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    archive.extractall(self._folder)
        sys.path[:0] = [self._folder, os.path.dirname(self._folder)]
        importlib.invalidate_caches()

    def failure(self, e):
        """Words an exception, with the script's own frames only."""
        cls = type(e)
        kind = cls.__name__ if cls.__module__ in ("builtins", "patch", "script") else f"{cls.__module__}.{cls.__name__}"
        try:
            message = str(e)
        except BaseException as broken:  # the exception is the script's own too
            message = f"the exception has no text: {type(broken).__name__}"
        if not isinstance(message, str):
            message = ""
        limit = "memory" if isinstance(e, MemoryError) else ""
        if limit and not message:
            message = "the script ran out of memory"
        return _fail(kind, message.encode(errors="replace").decode(), self._trace(e), limit)

    def _trace(self, e):
        try:
            frames = [f for f in traceback.extract_tb(e.__traceback__, limit=200) if self._mine(f.filename)]
            if isinstance(e, SyntaxError):
                return "".join(traceback.format_list(frames) + traceback.format_exception_only(type(e), e)).encode(errors="replace").decode()
            if not frames:
                return ""
            return ("Traceback (most recent call last):\n" + "".join(traceback.format_list(frames))).encode(errors="replace").decode()
        except BaseException:  # out of memory, or a source that cannot be read
            return ""

    def _mine(self, filename):
        return filename == INLINE or filename.startswith(self._folder)
