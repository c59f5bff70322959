"""The parent of all scripts: has boto3 in memory and forks.

It speaks with Parry over descriptor 3, a sequence of packets. It runs nothing
of a script; what the scripts' processes have in common ends at the fork.
"""
import array
import gc
import importlib
import json
import os
import select
import socket

import channel
import patch
import runner
import sandbox

CONTROL = 3
PACKET = 65536
# Loaded before the first fork, since a module that is loaded is loaded for all.
MODULES = (
    "_strptime", "base64", "calendar", "collections", "concurrent.futures", "concurrent.futures.thread", "copy", "csv", "datetime",
    "dateutil.parser", "dateutil.tz", "decimal", "difflib", "enum", "functools", "hashlib", "html", "ipaddress", "itertools", "json",
    "logging", "math", "operator", "pprint", "queue", "random", "re", "secrets", "shutil", "statistics", "string", "subprocess", "tempfile",
    "textwrap", "threading", "typing", "urllib.parse", "urllib.request", "uuid", "zipfile", "encodings.idna", "linecache", "traceback",
)


def main(cfg):
    """Serves until Parry closes the control socket."""
    for name in MODULES if cfg["boto3"] else ():
        try:
            importlib.import_module(name)
        except ImportError:
            pass
    checks = None
    if cfg["boto3"]:
        import boto3  # noqa: F401

        checks = patch.prepare()
    Zygote(cfg, socket.socket(fileno=CONTROL), checks).serve()


class Zygote:
    """Holds the children by the descriptors that tell of their end."""

    def __init__(self, cfg, control, checks):
        self._cfg = cfg
        self._control = control
        self._checks = checks
        self._warm = list(cfg["warm"]) if cfg["boto3"] else []
        self._children = {}
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self):
        gc.collect()
        gc.freeze()
        self._tell({"ready": True})
        while True:
            # What is left to warm is warmed while there is nothing else to do.
            events = self._poll.poll(0 if self._warm else None)
            if not events:
                self._warm_one()
            for descriptor, _ in events:
                if descriptor != self._control.fileno():
                    self._ended(descriptor)
                elif not self._asked():
                    return

    def _tell(self, message, descriptors=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        self._control.sendmsg([json.dumps(message).encode()], ancillary)

    def _asked(self):
        data, ancillary, _, _ = self._control.recvmsg(PACKET, socket.CMSG_SPACE(8))
        if not data:
            return False
        number = json.loads(data)["spawn"]
        received = array.array("i")
        for _, _, rights in ancillary:
            received.frombytes(rights[: len(rights) - len(rights) % received.itemsize])
        sock = socket.socket(fileno=received[0])
        group = received[1] if len(received) > 1 else None
        try:
            self._spawn(number, sock, group)
        except OSError as e:
            self._tell({"failed": number, "error": str(e)})
        finally:
            sock.close()
            if group is not None:
                os.close(group)
        return True

    def _spawn(self, number, sock, group):
        if self._cfg["namespaces"]:
            sandbox.unshare_pid(self._cfg["pid_namespace"])
        pid = os.fork()
        if pid == 0:
            self._child(number, sock, group)
        descriptor = os.pidfd_open(pid)
        self._children[descriptor] = (number, pid)
        self._poll.register(descriptor, select.POLLIN)
        self._tell({"spawned": number, "pid": pid}, [descriptor])

    def _child(self, number, sock, group):
        status = 1
        self._control.detach()  # its number is taken over by the execution's socket
        try:
            sock, tmp = sandbox.enter(self._cfg, sock, number, group)
            runner.serve(sock, self._cfg, tmp, self._checks)
            status = 0
        except BaseException as e:
            # Without its walls no script runs; the message is for the operator.
            try:
                channel.Channel(socket.socket(fileno=CONTROL), 1 << 16, 1).send({"t": "broken", "message": f"{type(e).__name__}: {e}"})
            except BaseException:
                pass
        finally:
            os._exit(status)

    def _ended(self, descriptor):
        number, pid = self._children.pop(descriptor)
        self._poll.unregister(descriptor)
        _, status, used = os.wait4(pid, 0)
        os.close(descriptor)
        self._tell({"ended": number, "status": os.waitstatus_to_exitcode(status), "cpu": int(used.ru_utime + used.ru_stime)})

    def _warm_one(self):
        import boto3

        try:
            boto3.client(self._warm.pop(0), region_name="us-east-1", aws_access_key_id=patch.DUMMY_KEY, aws_secret_access_key=patch.DUMMY_KEY)
        except Exception:  # a service that this botocore lacks
            pass
        if not self._warm:
            boto3.DEFAULT_SESSION = None
            gc.collect()
            gc.freeze()
            self._tell({"warm": True})
