"""An office in memory, an API server in a thread, and a client over the real Unix socket."""

import asyncio
import http.client
import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from config.schema import Office, Settings
from protocol.audit import START, Mark
from protocol.errors import Refused
from relay.api.server import ApiServer, open_sockets, start_api
from relay.api.service import Object
from relay.api.sockets import API_SOCKET
from relay.audit.notes import Note, Notes
from relay.draft import Draft, fingerprint
from relay.store.group import StoreFailed
from tests.sim.virtual import OfficeClock, Time

T = TypeVar("T")
AT = "2026-11-23T00:00:00.000000Z"
ONE = "01890000-0000-7000-8000-000000000001"
TWO = "01890000-0000-7000-8000-000000000002"
DRAFT = {"id": ONE, "to": "320000-GO", "title": "汛情", "body": "水位 3.2 米"}


def settings(**parts: Any) -> Settings:
    """Settings of a test office."""
    return Settings(home_version=1, office=Office(address="320924-GO", network="lab"), **parts)


class MemoryOffice:
    """Keeps what it is given; enough behaviour for the API to be seen through it."""

    def __init__(self) -> None:
        self.accepted: dict[str, tuple[bytes, Draft]] = {}
        self.calls = 0
        self.happened: list[Object] = []
        self.news = asyncio.Event()

    async def send(self, drafts: Sequence[Draft], /) -> list[Object | Refused]:
        self.calls += 1
        return [self._accept(draft) for draft in drafts]

    def _accept(self, draft: Draft) -> Object | Refused:
        if draft.classification not in ("none", "work_secret"):
            return Refused("CLASSIFIED", field="classification")
        if draft.body == "burst":
            raise ValueError("the text of a report must not reach the client")
        if draft.body == "disk dies":
            raise StoreFailed("disk I/O error")
        print_ = fingerprint(draft)
        before = self.accepted.get(draft.id)
        if before and before[0] != print_:
            return Refused("ID_REUSED", field="id")
        self.accepted[draft.id] = (print_, draft)
        self.happened.append(
            {"seq": len(self.happened) + 1, "type": "accepted", "id": draft.id, "to": "320000-GO", "at": AT}
        )
        self.news.set()
        answer: Object = {
            "id": draft.id,
            "state": "accepted",
            "lane": draft.urgency,
            "digest": "sha256:00",
            "to": ["320000-GO"],
            "accepted_at": AT,
        }
        return {**answer, "repeated": True} if before else answer

    def _find(self, prefix: str) -> Draft:
        found = [draft for key, (_, draft) in self.accepted.items() if key.startswith(prefix)]
        if not found:
            raise Refused("NOT_FOUND", prefix)
        if len(found) > 1:
            raise Refused("AMBIGUOUS", prefix)
        return found[0]

    async def inbox_list(self, state: str | None, limit: int, /) -> list[Object]:
        return [{"id": key, "state": state or "new"} for key in list(self.accepted)[:limit]]

    async def inbox_show(self, id_prefix: str, /) -> Object:
        draft = self._find(id_prefix)
        return {"id": draft.id, "body": draft.body}

    async def inbox_head(self, id_prefix: str, /) -> Object:
        return {"id": self._find(id_prefix).id, "digest": "sha256:00"}

    async def inbox_files(self, id_prefix: str, /) -> Object:
        draft = self._find(id_prefix)
        files = [{"name": one.name, "data": one.data} for one in draft.attachments]
        return {"meta": {"id": draft.id}, "body": draft.body, "attachments": files}

    async def inbox_take(self, limit: int, /) -> list[Object]:
        return [{"id": key, "state": "taken"} for key in list(self.accepted)[:limit]]

    async def inbox_ack(self, ids: Sequence[str], /) -> list[Object | Refused]:
        return [{"id": self._find(one).id, "state": "acked"} for one in ids]

    async def sign_for(self, message_id: str, by: str, signature: bytes | None, /) -> Object:
        return {"id": self._find(message_id).id, "by": by, "with": None if signature is None else signature.hex()}

    async def return_message(self, message_id: str, reason: str, /) -> Object:
        return {"id": self._find(message_id).id, "reason": reason}

    async def forward(self, message_id: str, draft: Draft, /) -> Object:
        return {"id": draft.id, "original": self._find(message_id).id}

    async def track(self, id_prefix: str, /) -> Object:
        return {"id": self._find(id_prefix).id, "recipients": [{"state": "delivered"}, {"state": "custody"}]}

    async def wait_for(self, id_prefix: str, state: str, timeout_s: float, /) -> Object:
        raise Refused("WAIT_TIMEOUT", f"{state} was not reached in {timeout_s} s")

    async def sent_list(self, state: str | None, limit: int, /) -> list[Object]:
        return [{"id": key, "recipients": []} for key in list(self.accepted)[:limit]]

    async def evidence(self, id_prefix: str, redact_body: bool, boxes: Collection[str], /) -> bytes:
        words = [self._find(id_prefix).id, *sorted(boxes), *(["redacted"] if redact_body else [])]
        return " ".join(words).encode()

    async def cancel(self, message_id: str, /) -> Object:
        return {"id": self._find(message_id).id}

    async def office(self) -> Object:
        return {"address": "320924-GO", "office_id": "00", "network_id": "01"}

    async def status(self) -> Object:
        return {"office": "320924-GO"}

    async def clock_accept(self) -> Object:
        return {"state": "following"}

    async def audit_accept(self) -> Object:
        return {"problems": ["CUT"], "left": []}

    async def home_accept(self) -> Object:
        return {"epoch": "1e56dcdee27c298a"}

    async def statistics(self, limit: int, /) -> list[Object]:
        return [{"day": "2026-11-25", "accepted": limit}]

    async def prekey_renew(self) -> Object:
        return {"epoch": 2}

    async def queue_list(self, limit: int, /) -> list[Object]:
        return [{"limit": limit}]

    async def queue_show(self, id_prefix: str, /) -> Object:
        return {"id": self._find(id_prefix).id}

    async def quarantine_list(self) -> list[Object]:
        return []

    async def quarantine_show(self, key: str, /) -> Object:
        raise Refused("NOT_FOUND", key)

    async def overdue(self) -> list[Object]:
        return []

    async def fsck(self) -> Object:
        return {"ok": True}

    async def doctor(self) -> list[Object]:
        return [{"check": "store", "result": "PASS", "code": "STORE_OK", "detail": ""}]

    async def trust_take(self, files: Mapping[str, bytes], /) -> Object:
        if "timestamp.json" not in files:
            raise Refused("BAD_TRUST", "TRUST_MISMATCH: missing")
        return {"version": 2, "changed": True, "brokers": sorted(files)}

    async def trust_files(self) -> Object:
        return {"version": 2, "files": {"timestamp.json": "e30="}}

    async def audit_lines(self, limit: int, after: int, /) -> list[Object]:
        return [{"n": after + 1, "limit": limit}]

    async def audit_heads(self) -> list[Object]:
        return []

    async def audit_verify(self, heads: Sequence[Mark], /) -> Object:
        return {"ok": True, "heads": [[mark.count, mark.head.hex()] for mark in heads]}

    async def audit_export(self) -> Iterator[bytes]:
        return iter([b"one", b"two"])

    async def metrics(self) -> bytes:
        return b"relay_accepted_total 1\n"

    async def ready(self) -> Object:
        return {"ready": False, "missing": ["store"]}

    async def events(self, after_seq: int, /) -> AsyncIterator[Object]:
        last = len(self.happened) if after_seq < 0 else after_seq
        while True:
            for event in self.happened[last:]:
                last = event["seq"]
                yield event
            self.news.clear()
            await self.news.wait()


class Running:
    """A server in its own thread and loop."""

    def __init__(self, run_directory: Path, used: Settings) -> None:
        self.directory = run_directory
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.office = MemoryOffice()
        try:
            listeners = open_sockets(run_directory, used)
            self.notes = Notes(OfficeClock(Time()), bytes(16))
            self.notes.begin(START)
            serving = start_api(self.office, used, listeners, version="1.2", notes=self.notes)
            self.server: ApiServer = self.run(serving)
        except BaseException:
            self._end_loop()
            raise

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def noted(self) -> list[Note]:
        """What was noted for the audit log since the last look."""

        async def take() -> list[Note]:
            return self.notes.take(100_000)

        return self.run(take())

    def stop(self) -> None:
        self.run(self.server.stop())
        self._end_loop()

    def _end_loop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    def connect(self, name: str = API_SOCKET) -> "Client":
        return Client(connect_socket(self.directory, name, 20))


def connect_socket(directory: Path, name: str = API_SOCKET, timeout_s: float | None = None) -> socket.socket:
    """A blocking connection; the directory of a test may be longer than a socket's address."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(timeout_s)
    folder = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        made.connect(f"/proc/self/fd/{folder}/{name}")
    except OSError:
        made.close()
        raise
    finally:
        os.close(folder)
    return made


class Client(http.client.HTTPConnection):
    """HTTP over a socket that is connected already."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__("relay")
        self.sock = connected

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(
        self, method: str, path: str, body: Any = None, kind: str | None = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, headers and body; a body that is no bytes is sent as JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if kind:
            sent["content-type"] = kind
        self.request(method, path, data, sent)
        answer = self.getresponse()
        return answer.status, answer.headers, answer.read()
