"""Calls operations that Parry classes as reads on moto, and reports which change its state.

    probe.py < {"services": {"s3": ["GetBucketAcl", ...], ...}, "workers": 2}

moto runs in this process. Resources are made first: the known ones of seeds.py,
then whatever the services' own creating operations make of generated inputs. Each
operation is then called with inputs that name them, until a call succeeds, and
moto's state is compared after each call. Prints one JSON document.
"""

import collections
import concurrent.futures
import json
import os
import signal
import sys
import warnings

os.environ.update(
    AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing", AWS_DEFAULT_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true",
    AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    MOTO_EC2_LOAD_DEFAULT_AMIS="false",
)  # fmt: skip

import re  # noqa: E402

re._MAXCACHE = 1 << 16  # moto compiles the patterns of a service's addresses for each request

import botocore.session  # noqa: E402
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402
from moto import mock_aws  # noqa: E402
from moto.core import base_backend  # noqa: E402
from moto.moto_api import state_manager  # noqa: E402

import seeds  # noqa: E402
from inputs import REGION, Inputs, Pool, noun  # noqa: E402
from snapshot import differences, picture  # noqa: E402

MOCK = {"batch": {"use_docker": False}, "lambda": {"use_docker": False}, "iam": {"load_aws_managed_policies": False}}
CALL_SECONDS = 15  # of processor time: the machine may be busy
TRIES = 3
OK, REFUSED, MISSING = "ok", "refused", "not implemented"


class Slow(Exception):
    """A call took too long."""


class World:
    """moto, its clients, and the pictures of its state."""

    def __init__(self):
        self.session = botocore.session.get_session()
        self.clients, self.pools, self.shared = {}, collections.defaultdict(Pool), Pool()
        self.touched, self.pictures, self.used = set(), {}, set()
        self.watch()

    def watch(self):
        """Notes which services' state a call looks at: only those are compared after it."""
        get = base_backend.AccountSpecificBackend.__getitem__

        def noted(backends, region):
            self.touched.add(backends.service_name)
            return get(backends, region)

        base_backend.AccountSpecificBackend.__getitem__ = noted
        urls = base_backend.BaseBackend.urls.fget
        cache = {}
        base_backend.BaseBackend.urls = property(lambda b: cache[type(b)] if type(b) in cache else cache.setdefault(type(b), urls(b)))

    def client(self, service):
        if service not in self.clients:
            config = Config(retries={"total_max_attempts": 1}, inject_host_prefix=True)
            self.clients[service] = self.session.create_client(service, REGION, config=config)
        return self.clients[service]

    def model(self, service, operation):
        return self.client(service).meta.service_model.operation_model(operation)

    def call(self, service, operation, params):
        """Calls; gives OK, REFUSED or MISSING, and the answer or the error's text."""
        signal.setitimer(signal.ITIMER_PROF, CALL_SECONDS)
        try:
            out = self.client(service)._make_api_call(operation, params)
            for value in out.values():
                if hasattr(value, "read"):
                    value.read()
        except ClientError as err:
            text = str(err)
            missing = "Not yet implemented" in text or "not been implemented" in text or "not implemented" in text.lower()
            return MISSING if missing else REFUSED, text
        except NotImplementedError as err:
            return MISSING, str(err)
        except Exception as err:  # what moto does not expect ends as any exception at all
            return REFUSED, f"{type(err).__name__}: {err}"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        for data in (params, out):
            self.pools[service].harvest(noun(operation), data)
        return OK, out

    def state(self, service=None):
        """{service: {backend, account and region: attributes}} of what is in use."""
        out = collections.defaultdict(dict)
        for backends in list({id(b): b for b in base_backend.BackendDict._instances}.values()):
            if service is None or backends.service_name == service:
                for account, region, backend in list(backends.iter_backends()):
                    out[backends.service_name][f"{backends.service_name}.{type(backend).__name__}[{account}][{region}]"] = backend.__dict__
        return out

    def settle(self):
        """Takes the present state as the one to compare with."""
        for service, state in self.state().items():
            self.pictures[service] = {k: picture(v, k) for k, v in state.items()}

    def changes(self, what, services):
        """Paths that a call changed in the services since they were last looked at."""
        out = []
        for service in sorted(services):
            state = self.state(service).get(service, {})
            before, after = self.pictures.get(service, {}), {k: picture(v, k) for k, v in state.items()}
            for where in after:
                # moto makes a region's empty state when it is first looked at.
                if where in before and before[where] != after[where]:
                    paths, used = differences(what, before[where], after[where])
                    out += paths
                    self.used |= used
            self.pictures[service] = after
        return out


def alarm(*_):
    raise Slow("the call took too long")


def seed(world, service, judged):
    """Makes resources with the service's own creating operations, but those judged. Two rounds: some need what others make."""
    names = world.client(service).meta.service_model.operation_names
    making = [n for n in names if n not in judged and seeds.rank(n) is not None and seeds.answers(service, n)]
    making.sort(key=seeds.rank)
    made = set()
    for number in (0, 1):
        for operation in [n for n in making if n not in made]:
            inputs = Inputs(world.pools[service], world.shared, seeds.FIXED)
            shape = world.model(service, operation).input_shape
            for optional in (None, "known", "all") if number == 0 else ("known",):
                result, _ = world.call(service, operation, inputs.make(operation, shape, optional))
                if result != REFUSED:
                    made.add(operation)
                    break


def probe(world, service, operations):
    """Calls the operations of one service; gives what each did."""
    found = {"results": {}, "altered": {}}
    for operation in operations:
        world.touched.clear()
        result = attempt(world, service, operation)
        found["results"][operation] = result
        if paths := world.changes(f"{service}:{operation}", world.touched | {service}):
            found["altered"][operation] = paths[:20]
    return found


def attempt(world, service, operation):
    """Calls an operation with likely inputs until a call succeeds."""
    if not seeds.answers(service, operation):
        return MISSING
    shape = world.model(service, operation).input_shape
    inputs = Inputs(world.pools[service], world.shared, seeds.FIXED)
    done, result, text = [], REFUSED, ""
    for number in range(2 * TRIES):
        params = inputs.make(operation, shape, "known" if number % 2 else None, number // 2)
        if params in done:
            continue
        done.append(params)
        result, text = world.call(service, operation, params)
        if result != REFUSED:
            return result
    return f"{result}: {text:.200}"


def work(services):
    """One process's share: everything is made, then nothing may change any more."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, alarm)
    out = {"services": {}}
    with mock_aws(config=MOCK):
        world = World()
        out["unplanted"] = seeds.plant(world, services)
        for service, operations in services.items():
            seed(world, service, operations)
        for model in state_manager.get_registered_models():
            state_manager.set_transition(model, {"progression": "manual", "times": 1 << 30})  # nothing becomes ready while we look
        world.settle()
        for service, operations in services.items():
            out["services"][service] = probe(world, service, operations)
        # What was changed behind the backs of those that keep it.
        out["unexplained"] = world.changes("any:read", world.state())
        out["ignored"] = sorted(world.used)
    return out


def main():
    given = json.load(sys.stdin)
    shares = [{} for _ in range(given.get("workers", 2))]
    for service in sorted(given["services"], key=lambda s: -len(given["services"][s])):
        if seeds.implemented(service):
            min(shares, key=lambda s: sum(map(len, s.values())))[service] = given["services"][service]
    out = {"services": {}, "ignored": [], "unplanted": [], "unexplained": []}
    with concurrent.futures.ProcessPoolExecutor(len(shares)) as pool:
        for part in pool.map(work, shares):
            out["services"].update(part["services"])
            for key in ("ignored", "unplanted", "unexplained"):
                out[key] = sorted({*out[key], *part[key]})
    json.dump(out, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
