"""An S3 on this machine, by moto, that counts its requests and fails when it is told to.

Moto takes whatever signature a request has: where `signed` is asked for, it is recomputed first.
"""

import os
import re
import threading
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from s3fs import S3FileSystem
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

SECRET = "secret/RSNjq8tPOV+cAJhvLQ4Ew0"  # noqa: S105 - moto takes any
KEY = "AKIAPHLOEMTEST000000"
PIECE = 2**16  # bytes of a body that are read or sent at once

SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/s3/aws4_request,"
    r" SignedHeaders=(?P<headers>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)

Environ = dict[str, Any]
Fault = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


@dataclass
class Planned:
    """A fault that meets so many requests of a kind, all of them or one in `every`."""

    method: str
    path: re.Pattern[str]
    fault: Fault
    times: int
    every: int
    seen: int = 0
    met: int = 0

    def meets(self, method: str, path: str) -> bool:
        """Whether this request is to fail."""
        if self.met == self.times or method != self.method or not self.path.search(path):
            return False
        self.seen += 1
        self.met += self.seen % self.every == 0
        return self.seen % self.every == 0


@dataclass
class ObjectStore:
    """The server, with what it was asked.

    Attributes:
        bucket: The bucket that is there.
        hosts: Addresses of this machine on which it listens.
        signed: Whether requests must be signed with `KEY` and `SECRET`.
        port: The same on all of them.
        requests: (method, path) of every request so far.
        sent: Bytes of all bodies that it answered with, by path.
        faults: What fails, and how.
        moto: What answers where nothing fails.
    """

    bucket: str
    hosts: Sequence[str] = ("127.0.0.1",)
    signed: bool = False
    port: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    faults: list[Planned] = field(default_factory=list)
    moto: Any = field(default_factory=lambda: DomainDispatcherApplication(create_backend_app))
    servers: list[BaseWSGIServer] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """Where it listens, for this machine."""
        return f"http://{self.hosts[0]}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client on this machine needs to find it."""
        return self.environment_at(self.hosts[0])

    def environment_at(self, host: str) -> dict[str, str]:
        """What a client needs that reaches it at one of its addresses."""
        return {
            "AWS_ENDPOINT_URL": f"http://{host}:{self.port}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def root(self, prefix: str = "") -> str:
        """URL of a root that nobody has used."""
        return f"s3://{self.bucket}/{prefix or uuid.uuid4().hex}"

    def begun(self, root: str, record: dict[str, Any], *missing: str) -> str:
        """Another root with what a run made on this one, but for some stages and all records."""
        other = self.root()
        prefix, moved = (each.rpartition("/")[2] for each in (root, other))
        backend = s3_backends[DEFAULT_ACCOUNT_ID]["global"]
        for name, key in list(backend.get_bucket(self.bucket).keys.items()):
            before, _, file = name.partition("/")
            stage = file.partition("/")[0]
            if before == prefix and stage in record["datasets"].keys() - {*missing}:
                backend.copy_object(key, self.bucket, f"{moved}/{file}")
        return other

    def fail(self, method: str, path: str, fault: Fault, times: int = 1, every: int = 1) -> Planned:
        """Let requests of a method, whose path has a match of `path`, meet a fault."""
        planned = Planned(method, re.compile(path), fault, times, every)
        with self.lock:
            self.faults.append(planned)
        return planned

    def counted(self) -> dict[str, int]:
        """Requests so far by method, lists apart from other GETs."""
        names = ("LIST" if "list-type=" in path else method for method, path in self.requests)
        return dict(sorted(Counter(names).items()))

    def start(self) -> None:
        """Listen, on the same port as before if there was one."""

        def app(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
            query = environ["QUERY_STRING"]
            path = environ["PATH_INFO"] + (f"?{query}" if query else "")
            with self.lock:
                request = (environ["REQUEST_METHOD"], path)
                self.requests.append(request)
                planned = next((p for p in self.faults if p.meets(*request)), None)
            refused = refusal(environ) if self.signed else None
            answer = refused or (planned.fault if planned else self.moto)
            return self._counted(environ["PATH_INFO"], answer(environ, start_response))

        for host in self.hosts:
            server = make_server(host, self.port, app, threaded=True, request_handler=_Silent)
            self.port = server.server_port
            self.servers.append(server)
            threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()

    def _counted(self, path: str, body: Iterable[bytes]) -> Iterator[bytes]:
        with closing(body) if hasattr(body, "close") else nullcontext():
            for piece in body:
                with self.lock:
                    self.sent[path] += len(piece)
                yield piece

    def stop(self) -> None:
        """Vanish; what it holds is there again after `start`."""
        while self.servers:
            server = self.servers.pop()
            server.shutdown()
            server.server_close()


class _Silent(WSGIRequestHandler):
    disable_nagle_algorithm = True  # head and body are sent apart: each would wait 40 ms

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Say nothing: tests look at `requests`."""

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:
        """Close what a fault dropped: the client would wait for more."""
        self.close_connection = True


def answering(status: str, code: str, message: str = "") -> Fault:
    """The server answers with an error of S3's."""

    def fault(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        _read(environ, int(environ.get("CONTENT_LENGTH") or 0))
        told = message or f"This is the {code} that was asked for."
        body = f"<Error><Code>{code}</Code><Message>{told}</Message></Error>".encode()
        head = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
        start_response(status, head)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    return fault


def refusal(environ: Environ) -> Fault | None:
    """Why S3 refuses a request for its signature, if it does."""
    found = SIGNED.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
    if found is None:
        return answering("403 Forbidden", "AccessDenied", "Access Denied")
    if found["key"] != KEY:
        told = "The AWS Access Key Id you provided does not exist in our records."
        return answering("403 Forbidden", "InvalidAccessKeyId", told)
    plain = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
    names = found["headers"].split(";")
    headers = {
        name: environ.get(plain.get(name, f"HTTP_{name.upper().replace('-', '_')}"), "")
        for name in names
    }
    url = f"http://{environ['HTTP_HOST']}{environ['REQUEST_URI']}"
    request = AWSRequest(environ["REQUEST_METHOD"], url, headers)
    request.context["timestamp"] = environ.get("HTTP_X_AMZ_DATE", "")
    signer = S3SigV4Auth(Credentials(KEY, SECRET), "s3", found["region"])
    text = signer.string_to_sign(request, signer.canonical_request(request))
    if signer.signature(text, request) == found["signature"]:
        return None
    told = "The request signature we calculated does not match the signature you provided."
    return answering("403 Forbidden", "SignatureDoesNotMatch", told)


ERROR_500 = answering("500 Internal Server Error", "InternalError")
SLOW_DOWN = answering("503 Slow Down", "SlowDown")
DENIED = answering("403 Forbidden", "SignatureDoesNotMatch")


def cut_body(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The server promises 1000 bytes, sends 10, and closes the connection."""
    del environ
    start_response("200 OK", [("Content-Length", "1000")])
    return [b"0123456789"]


def cut_upload(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The connection ends in the middle of what the client sends; nothing of it is kept."""
    del start_response
    _read(environ, int(environ.get("CONTENT_LENGTH") or 0) // 2)
    raise ConnectionResetError


def after(seconds: float, then: Fault) -> Fault:
    """The same, but only after a while."""

    def fault(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        time.sleep(seconds)
        return then(environ, start_response)

    return fault


def _read(environ: Environ, size: int) -> None:
    while size > 0 and (piece := environ["wsgi.input"].read(min(size, PIECE))):
        size -= len(piece)


@contextmanager
def serving(
    hosts: Sequence[str] = ("127.0.0.1",), *, signed: bool = False
) -> Iterator[ObjectStore]:
    """A server with an empty bucket, which the environment of this process leads to."""
    store = ObjectStore(f"phloem-{uuid.uuid4().hex[:8]}", hosts)
    store.start()
    S3FileSystem.clear_instance_cache()  # those of another server would be taken for this one's
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in store.environment.items():
                patch.setenv(name, value)
            # What a client waits before it asks again: half a second on average.
            patch.setattr("botocore.retryhandler.delay_exponential", lambda *_, **__: 0.0)
            request = urllib.request.Request(f"{store.url}/{store.bucket}", method="PUT")  # noqa: S310 - http
            with urllib.request.urlopen(request):  # noqa: S310 - as above
                store.requests.clear()
            store.signed = signed
            yield store
    finally:
        store.stop()
