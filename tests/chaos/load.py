"""The load of a round: clients that read and write through nginx, and the list of all responses."""

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from uuid import uuid4

PAUSE = 0.02  # seconds a client takes between two requests
CLIENT_TIMEOUT = 60.0  # seconds that a client waits for a response
CALM = 1.0  # seconds without a failure after which a client has recovered
JSON_TYPE, PROBLEM_TYPE = "application/json", "application/problem+json"
EXPECTED = {409: "/problems/request-in-progress", 412: "/problems/precondition-failed"}


@dataclass(frozen=True)
class Answer:
    """A response, or the error (status 0), with its times."""

    status: int
    headers: dict[str, str]
    body: bytes
    began: float
    ended: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def worked(self) -> bool:
        return 200 <= self.status < 300

    def verdict(self) -> str:
        """`ok`, `refused` for a correct 503, `broken` without a response, else what is wrong."""
        kind = self.headers.get("content-type", "")
        if self.worked:
            return "ok" if kind.startswith(JSON_TYPE) else f"{self.status} of type {kind}"
        if not self.status:
            return "broken"
        if not kind.startswith(PROBLEM_TYPE):
            return f"{self.status} of type {kind}"
        slug = self.json["type"]
        if self.status == 503:
            waits = self.headers.get("retry-after", "").isdigit()
            return "refused" if waits else "503 without Retry-After"
        return "ok" if EXPECTED.get(self.status) == slug else f"{self.status} {slug}"


class Client:
    """A client with a persistent connection."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self._connection = HTTPConnection("127.0.0.1", load.port, timeout=CLIENT_TIMEOUT)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request once, and record the response."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        payload = None
        if body is not None:
            fields["Content-Type"], payload = JSON_TYPE, json.dumps(body).encode()
        began = time.monotonic()
        try:
            self._connection.request(method, f"/api/v1/{path}", payload, fields)
            response = self._connection.getresponse()
            sent = response.read()
            got = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, got, sent, began, time.monotonic())
        except (OSError, HTTPException) as error:
            self._connection.close()
            answer = Answer(0, {}, repr(error).encode(), began, time.monotonic())
        self.load.note(f"{method} {path.partition('?')[0].partition('/')[0]}", answer)
        time.sleep(PAUSE)
        return answer

    def wait(self, answer: Answer) -> None:
        """Wait as Retry-After says, or until the load ends."""
        self.load.over.wait(float(answer.headers.get("retry-after", "0.2")))


def article(name: str) -> dict[str, str]:
    """The body of a new article."""
    return {"sku": str(uuid4()), "name": name, "category": "0", "price": "1", "currency": "EUR"}


@dataclass
class Load:
    """All clients of a round, and the responses that they got.

    Args:
        name: of the round; the names of its articles begin with it.
        port: of nginx.
        authorization: the value of the header Authorization.
        article_id: of an article to read.
    """

    name: str
    port: int
    authorization: str
    article_id: str
    over: threading.Event = field(default_factory=threading.Event)
    acknowledged: list[str] = field(default_factory=list)  # titles
    patched: dict[str, tuple[int, str]] = field(default_factory=dict)  # id: version, category
    answers: list[tuple[str, Answer]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _errors: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        clients = [self._read_catalogue] * 2 + [self._read_own] * 2 + [self._create] * 3
        self._threads = [
            threading.Thread(target=self._run, args=(client,), daemon=True)
            for client in (*clients, self._change)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let every client finish its request, and end."""
        self.over.set()
        for thread in self._threads:
            thread.join(3 * CLIENT_TIMEOUT)
            assert not thread.is_alive(), "a client hangs"
        if self._errors:
            raise self._errors[0]

    def note(self, what: str, answer: Answer) -> None:
        with self._lock:
            self.answers.append((what, answer))

    def count(self) -> int:
        return len(self.answers)

    def settle(self, timeout: float) -> None:
        """Wait until no request has failed for a while, or the timeout is reached."""
        since = time.monotonic()
        while time.monotonic() < since + timeout:
            time.sleep(0.1)
            now = time.monotonic()
            with self._lock:
                recent = [a for _, a in self.answers[-2000:] if a.ended > now - CALM]
            if now > since + CALM and recent and all(a.worked for a in recent):
                return

    def verdicts(self) -> Counter[str]:
        return Counter(
            verdict if verdict in ("ok", "refused", "broken") else f"{what}: {verdict}"
            for what, verdict in ((what, answer.verdict()) for what, answer in self.answers)
        )

    # --- the clients -------------------------------------------------------------------------

    def _run(self, client: Any) -> None:
        try:
            client(Client(self))
        except BaseException as error:
            self._errors.append(error)

    def _read_catalogue(self, client: Client) -> None:
        """Without the cache of nginx, which would respond instead of the service."""
        while not self.over.is_set():
            client.send("GET", "articles?limit=20&sort=price", Cache_Control="no-cache")
            client.send("GET", f"articles/{self.article_id}", Cache_Control="no-cache")

    def _read_own(self, client: Client) -> None:
        while not self.over.is_set():
            client.send("GET", "notes?limit=5", Authorization=self.authorization)

    def _create(self, client: Client) -> None:
        """Each article once: the request is repeated with its Idempotency-Key until it succeeds."""
        while not self.over.is_set():
            title, key = f"{self.name} {uuid4()}", str(uuid4())
            while not self.over.is_set():
                answer = client.send(
                    "POST",
                    "articles",
                    article(title),
                    Authorization=self.authorization,
                    Idempotency_Key=key,
                )
                if answer.worked:
                    self.acknowledged.append(title)
                    break
                client.wait(answer)

    def _change(self, client: Client) -> None:
        """Update one article in steps; after a failure read it to see whether the step happened."""
        title = f"{self.name} {uuid4()}"
        made = client.send("POST", "articles", article(title), Authorization=self.authorization)
        assert made.worked, made  # the fault has not begun
        self.acknowledged.append(title)
        path, tag = f"articles/{made.json['id']}", made.headers["etag"]
        step, version = 0, 1
        while not self.over.is_set():
            change = {"category": str(step + 1)}
            answer = client.send(
                "PATCH", path, change, Authorization=self.authorization, If_Match=tag
            )
            while not answer.worked and not self.over.is_set():
                client.wait(answer)
                answer = client.send("GET", path, Authorization=self.authorization)
            if not answer.worked:
                break  # the round has ended, and the outcome of the last step is unknown
            tag, article_now = answer.headers["etag"], answer.json
            if article_now["category"] == change["category"]:
                step, version = step + 1, version + 1
            self.patched[made.json["id"]] = version, str(step)
