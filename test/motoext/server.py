"""moto's server with the additions of this package.

    python -m motoext.server [-H 127.0.0.1] [-p 0] [--until-eof]

It prints "ready PORT" when it answers. With --until-eof it ends when its
standard input is closed, so it cannot outlive whoever started it.
"""

import argparse
import importlib.util
import logging
import os
import sys
import threading

from flask import Response
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server

from . import organizations, s3, securityhub

# Patched at the start: they change what other services see.
EARLY = {"organizations": organizations, "s3": s3, "securityhub": securityhub}


def create_app(service):
    """A backend of moto that says why it failed, where moto says only 500.

    The wall makes NotImplemented of the one and InternalError of the other.
    What a module of this package named after the service adds is added now, so
    that nobody pays for services that nobody calls.
    """
    if service not in EARLY and importlib.util.find_spec(f"{__package__}.{service}"):
        importlib.import_module(f".{service}", __package__).patch()
    app = create_backend_app(service)

    def explain(err):
        if isinstance(err, HTTPException):
            return err
        if not isinstance(err, NotImplementedError):
            logging.getLogger("motoext").error("%s broke", service, exc_info=err)
        text = f"{type(err).__name__}: {err}".replace("\n", " ")[:400]
        text = text.encode("latin-1", "replace").decode("latin-1")
        return Response("<html>the emulator failed</html>", status=500, mimetype="text/html", headers={"X-Moto-Error": text})

    app.register_error_handler(Exception, explain)
    return app


def end_with_stdin():
    sys.stdin.buffer.read()
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(prog="motoext.server", description="moto's server with what Parry's tests need besides")
    parser.add_argument("-H", "--host", default="127.0.0.1")
    parser.add_argument("-p", "--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input is closed")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    for module in EARLY.values():
        module.patch()
    if args.until_eof:
        threading.Thread(target=end_with_stdin, daemon=True).start()
    server = make_server(args.host, args.port, DomainDispatcherApplication(create_app), threaded=True)
    print(f"ready {server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
