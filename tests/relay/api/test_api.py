"""The HTTP API over real Unix sockets, in front of an office in memory."""

import json
import os
import re
import socket
import stat
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.schema import Api, Limits
from protocol.errors import Refused
from relay.api.openapi import openapi_document
from relay.api.peer import Peer, peer_of
from relay.api.routes import OPERATIONS
from relay.api.sockets import ADMIN_SOCKET, API_SOCKET, bind_socket
from tests.relay.api.office import DRAFT, ONE, TWO, Client, Running, connect_socket, settings

SMALL = Limits(request_bytes=64 << 10, requests_bytes=100 << 10, batch_lines=600, event_clients=1)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with tempfile.TemporaryDirectory() as folder:
        # A home of 200 characters, with room for /run/api.sock only through a directory descriptor.
        home = Path(folder) / ("h" * (199 - len(folder)))
        home.mkdir()
        assert len(str(home)) == 200
        started = Running(home / "run", settings(limits=SMALL, api=Api(stop_s=1, body_s=1, heartbeat_s=0.05)))
        yield started
        started.stop()
        assert list((home / "run").iterdir()) == []


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    running.office.accepted.clear()
    with running.connect() as connected:
        yield connected


def test_sockets_have_their_modes_and_answer_both(running: Running) -> None:
    for name, mode in ((API_SOCKET, 0o660), (ADMIN_SOCKET, 0o600)):
        found = (running.directory / name).stat()
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == mode
        with running.connect(name) as client:
            assert client.ask("GET", "/livez")[0] == 200


def test_a_message_is_accepted_and_repeated(client: Client, running: Running) -> None:
    status, headers, body = client.ask("POST", "/v1/messages", DRAFT)
    assert status == 202
    assert headers["location"] == f"/v1/messages/{ONE}?box=sent"
    assert json.loads(body) == {
        "v": 1,
        "id": ONE,
        "state": "accepted",
        "lane": "routine",
        "digest": "sha256:00",
        "to": ["320000-GO"],
        "accepted_at": "2026-11-23T00:00:00.000000Z",
    }
    again = json.loads(client.ask("POST", "/v1/messages", {**DRAFT, "to": ["320000-GO"]})[2])
    assert again["repeated"] is True
    status, _, body = client.ask("POST", "/v1/messages", {**DRAFT, "title": "旱情"})
    assert (status, json.loads(body)["code"], json.loads(body)["id"]) == (409, "ID_REUSED", ONE)


def test_the_idempotency_key_is_the_id(client: Client) -> None:
    without = {name: value for name, value in DRAFT.items() if name != "id"}
    _, _, body = client.ask("POST", "/v1/messages", without, Idempotency_Key=f'"{TWO}"')
    assert json.loads(body)["id"] == TWO
    status, _, body = client.ask("POST", "/v1/messages", DRAFT, Idempotency_Key=TWO)
    assert (status, json.loads(body)["field"]) == (422, "id")
    made = json.loads(client.ask("POST", "/v1/messages", without)[2])["id"]
    assert str(uuid.UUID(made)) == made


def test_problems_are_rfc_9457_in_both_languages(client: Client) -> None:
    status, headers, body = client.ask("POST", "/v1/messages", {**DRAFT, "tittle": 1}, Accept_Language="zh-CN,zh;q=0.9")
    found = json.loads(body)
    assert status == found["status"] == 422
    assert headers["content-type"] == "application/problem+json"
    assert headers["content-language"] == "zh-CN"
    assert (found["v"], found["code"], found["exit"], found["field"]) == (1, "BAD_FIELD", 65, "tittle")
    assert "`title`" in found["detail"]
    assert found["title"] == found["message"] == "请求中有一项不正确。"
    assert found["hint"]
    english = json.loads(client.ask("POST", "/v1/messages", b"{", "application/json")[2])
    assert english["message"] == "A field of the request is wrong."


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status", "code"),
    [
        ("GET", "/v1/nothing", None, None, 404, "UNKNOWN_PATH"),
        ("DELETE", "/v1/messages", None, None, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/v1/messages", b"x", "text/plain", 415, "UNSUPPORTED_TYPE"),
        ("POST", "/v1/messages", b"x", "multipart/form-data", 422, "BAD_FIELD"),
        ("POST", "/v1/messages", b"\xff", None, 422, "BAD_FIELD"),
        ("POST", "/v1/messages", b"x" * (65 << 10), None, 413, "TOO_LARGE"),
        ("POST", "/v1/messages", b"\n".join([b"{}"] * 601), "application/x-ndjson", 413, "TOO_LARGE"),
        ("GET", "/v1/messages/ff", None, None, 404, "NOT_FOUND"),
        ("GET", "/v1/messages?box=trash", None, None, 422, "BAD_FIELD"),
        ("GET", "/v1/messages?limit=-1", None, None, 422, "BAD_FIELD"),
        ("GET", "/v1/messages/ff/timeline?wait=never", None, None, 422, "BAD_FIELD"),
        ("GET", "/v1/messages/ff/timeline?wait=opened&timeout=nan", None, None, 422, "BAD_FIELD"),
        ("GET", "/v1/messages/ff/evidence?redact_body=maybe", None, None, 422, "BAD_FIELD"),
        ("POST", "/v1/inbox/take", {"max": 0}, None, 422, "BAD_FIELD"),
        ("POST", "/v1/inbox/ack", {}, None, 422, "BAD_FIELD"),
        ("POST", f"/v1/messages/{ONE}/sign-for", {"by": ""}, None, 422, "BAD_FIELD"),
        ("POST", f"/v1/messages/{ONE}/return", {"why": "x"}, None, 422, "BAD_FIELD"),
    ],
)
def test_bad_requests_have_stable_codes(
    client: Client, method: str, path: str, body: object, kind: str | None, status: int, code: str
) -> None:
    found, _, answer = client.ask(method, path, body, kind)
    assert (found, json.loads(answer)["code"]) == (status, code)


def test_g13_a_client_that_stops_in_the_middle_of_a_body_keeps_the_room_of_others_for_a_moment_only(
    client: Client, running: Running
) -> None:
    head = b"POST /v1/messages HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    half, whole = SMALL.request_bytes, {**DRAFT, "body": "x" * (60 << 10)}
    with connect_socket(running.directory, API_SOCKET) as one, connect_socket(running.directory, API_SOCKET) as other:
        for stopped in (one, other):
            stopped.sendall(head % half + b" " * (48 << 10))
        for stopped in (one, other):
            stopped.settimeout(10)
            assert stopped.recv(1_000).startswith(b"HTTP/1.1 503")
    status, _, body = client.ask("POST", "/v1/messages", whole)
    assert status == 202, body


def test_a_fault_of_ours_shows_no_text(client: Client) -> None:
    status, _, body = client.ask("POST", "/v1/messages", {**DRAFT, "body": "burst"})
    assert (status, json.loads(body)["code"], json.loads(body)["exit"]) == (500, "INTERNAL", 70)
    assert b"report must not" not in body


def test_a_store_that_fails_leaves_the_outcome_unknown(client: Client) -> None:
    status, _, body = client.ask("POST", "/v1/messages", {**DRAFT, "body": "disk dies"})
    assert (status, json.loads(body)["code"], json.loads(body)["exit"]) == (504, "OUTCOME_UNKNOWN", 74)


def test_a_batch_is_one_call_and_answers_in_order(client: Client, running: Running) -> None:
    lines: list[bytes] = []
    for number in range(500):
        draft = {**DRAFT, "id": f"01890000-0000-7000-8000-{number:012x}"}
        if number == 7:
            draft["classification"] = "秘密"
        lines.append(b"{" if number == 3 else b"" if number == 5 else json.dumps(draft).encode())
    calls = running.office.calls
    status, headers, body = client.ask("POST", "/v1/messages", b"\n".join(lines)[: 64 << 10], "application/x-ndjson")
    assert (status, headers["content-type"]) == (200, "application/x-ndjson")
    assert running.office.calls == calls + 1
    answers = [json.loads(line) for line in body.splitlines()]
    # A blank line has no answer, so all numbers after it move up by one.
    assert [answers[0]["id"][-3:], answers[5]["id"][-3:]] == ["000", "006"]
    assert {"v": 1, "type": "error", "exit": 65, "code": "BAD_FIELD", "line": 4}.items() <= answers[3].items()
    assert (answers[6]["code"], answers[6]["field"], answers[6]["id"][-1]) == ("CLASSIFIED", "classification", "7")
    assert all(answer["state"] == "accepted" for answer in answers[7:-1])


def test_a_form_carries_files(client: Client) -> None:
    content = bytes(range(256))
    form = (
        b'--b\r\nContent-Disposition: form-data; name="message"\r\n\r\n' + json.dumps(DRAFT).encode() + b"\r\n"
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="'
        + "附件 1.bin".encode()
        + b'"\r\n\r\n'
        + content
        + b"\r\n--b--\r\n"
    )
    status, _, _ = client.ask("POST", "/v1/messages", form, "multipart/form-data; boundary=b")
    assert status == 202
    status, headers, body = client.ask("GET", f"/v1/messages/{ONE}/files/0")
    assert (status, body) == (200, content)
    assert headers["content-disposition"] == "attachment; filename*=UTF-8''%E9%99%84%E4%BB%B6%201.bin"
    found = json.loads(client.ask("GET", f"/v1/messages/{ONE}/files")[2])
    assert (found["v"], found["attachments"][0]["name"]) == (1, "附件 1.bin")
    assert client.ask("GET", f"/v1/messages/{ONE}/files/1")[0] == 404


def test_following_and_answering(client: Client) -> None:
    client.ask("POST", "/v1/messages", DRAFT)
    assert json.loads(client.ask("GET", f"/v1/messages/{ONE[:9]}")[2]) == {"v": 1, "id": ONE, "body": DRAFT["body"]}
    assert json.loads(client.ask("GET", "/v1/messages?state=opened")[2]) == {"v": 1, "id": ONE, "state": "opened"}
    assert json.loads(client.ask("GET", "/v1/messages?box=sent")[2])["recipients"] == []
    assert json.loads(client.ask("GET", f"/v1/messages/{ONE}/timeline")[2])["recipients"][0]["state"] == "delivered"
    status, _, body = client.ask("GET", f"/v1/messages/{ONE}/timeline?wait=delivered&timeout=0.1s")
    found = json.loads(body)
    assert (status, found["code"], found["exit"], found["state"], found["id"]) == (
        504,
        "WAIT_TIMEOUT",
        75,
        "custody",
        ONE,
    )
    assert client.ask("GET", f"/v1/messages/{ONE}/evidence?redact_body=1")[2].decode() == f"{ONE} inbox sent redacted"
    assert json.loads(client.ask("POST", "/v1/inbox/take", {"max": 3})[2])["state"] == "taken"
    assert json.loads(client.ask("POST", "/v1/inbox/take")[2])["state"] == "taken"
    assert json.loads(client.ask("POST", "/v1/inbox/ack", {"ids": [ONE]})[2])["state"] == "acked"
    signed = json.loads(client.ask("POST", f"/v1/messages/{ONE}/sign-for", {"by": "王", "signature": "AQI="})[2])
    assert (signed["by"], signed["with"]) == ("王", "0102")
    assert json.loads(client.ask("POST", f"/v1/messages/{ONE}/return", {"reason": "x"})[2])["reason"] == "x"
    status, _, body = client.ask("POST", f"/v1/messages/{ONE}/forward", {"to": "100000-GO"}, Idempotency_Key=TWO)
    assert (status, json.loads(body)) == (202, {"v": 1, "id": TWO, "original": ONE})
    assert client.ask("POST", f"/v1/messages/{ONE}/cancel")[0] == 200
    assert json.loads(client.ask("POST", "/v1/clock/accept")[2]) == {"v": 1, "state": "following"}
    assert json.loads(client.ask("GET", "/v1/statistics?limit=3")[2]) == {"v": 1, "day": "2026-11-25", "accepted": 3}
    assert json.loads(client.ask("POST", "/v1/accept/audit")[2])["problems"] == ["CUT"]
    assert json.loads(client.ask("POST", "/v1/accept/home")[2]) == {"v": 1, "epoch": "1e56dcdee27c298a"}
    assert client.ask("GET", "/readyz")[0] == 503
    assert client.ask("GET", "/metrics")[2] == b"relay_accepted_total 1\n"
    assert json.loads(client.ask("GET", "/v1/queue?limit=5")[2])["limit"] == 5


def test_events_resume_after_the_last_one_seen(client: Client, running: Running) -> None:
    running.office.happened.clear()
    for draft in (DRAFT, {**DRAFT, "id": TWO}):
        client.ask("POST", "/v1/messages", draft)
    follower = running.connect()
    follower.request("GET", "/v1/events", headers={"Last-Event-ID": "1"})
    answer = follower.getresponse()
    assert answer.headers["content-type"].startswith("text/event-stream")
    text = b""
    while b"event: " not in text or not text.endswith(b"\n\n"):
        text += answer.read1()
    assert b"id: 2\nevent: accepted\ndata: {" in text
    assert b"id: 1\n" not in text
    status, headers, body = client.ask("GET", "/v1/events")
    assert (status, headers["retry-after"], json.loads(body)["code"]) == (503, "2", "BUSY")
    assert client.ask("GET", "/v1/events", None, None, Last_Event_ID="x")[0] == 422
    assert b":" in answer.read1()  # a heartbeat
    follower.close()


def test_stopping_ends_streams_and_removes_the_sockets() -> None:
    with tempfile.TemporaryDirectory() as folder:
        started = Running(Path(folder) / "run", settings(api=Api(stop_s=1)))
        with started.connect() as follower:
            follower.request("GET", "/v1/events")
            answer = follower.getresponse()
            assert answer.read1() == b": events\n\n"
            started.stop()
            assert answer.read() == b""
        assert list((Path(folder) / "run").iterdir()) == []


def test_a_second_server_on_the_same_home_is_refused(running: Running) -> None:
    with pytest.raises(Refused) as refused:
        Running(running.directory, settings())
    assert refused.value.code == "HOME_IN_USE"
    with running.connect() as client:
        assert client.ask("GET", "/livez")[0] == 200


def test_a_stale_socket_is_replaced_and_a_file_is_not() -> None:
    with tempfile.TemporaryDirectory() as folder:
        left = bind_socket(Path(folder), API_SOCKET, 0o660)
        left.socket.close()
        with pytest.raises(ConnectionRefusedError):
            connect_socket(Path(folder))
        new = bind_socket(Path(folder), API_SOCKET, 0o660)
        new.socket.listen()
        connect_socket(Path(folder)).close()
        new.socket.close()
        (Path(folder) / "other").write_text("mine")
        with pytest.raises(Refused) as refused:
            bind_socket(Path(folder), "other", 0o600)
        assert refused.value.code == "FILE_EXISTS"
        assert (Path(folder) / "other").read_text() == "mine"


def test_the_kernel_names_the_peer() -> None:
    here, there = socket.socketpair()
    with here, there:
        peer = peer_of(here)
    assert (peer.uid, peer.pid) == (os.getuid(), os.getpid())
    assert os.getgid() in peer.gids
    assert set(os.getgroups()) <= peer.gids


def test_without_a_role_nothing_is_done(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = Peer(4002, 100, frozenset({5000}), 1)
    monkeypatch.setattr("relay.api.peer.peer_of", lambda _connection: stranger)
    calls = running.office.calls
    with running.connect() as client:
        assert client.ask("GET", "/livez")[0] == 200
        for operation in OPERATIONS:
            if not operation.roles:
                continue
            path = re.sub(r"\{\w+\}", "0", operation.path)
            status, _, body = client.ask(operation.method, path, {} if operation.method == "POST" else None)
            assert (status, json.loads(body)["code"], json.loads(body)["exit"]) == (403, "NOT_PERMITTED", 77)
    assert running.office.calls == calls


def test_g15_who_did_what_is_noted_with_its_result_and_without_text(running: Running, client: Client) -> None:
    running.noted()
    caller = f"uid:{os.getuid()}/gid:{os.getgid()}"
    client.ask("POST", "/v1/messages", DRAFT)
    client.ask("POST", "/v1/messages", {**DRAFT, "title": "旱情"})
    client.ask("GET", f"/v1/messages/{ONE[:20]}")
    lines = b"".join(json.dumps(draft).encode() + b"\n" for draft in ({**DRAFT, "id": TWO}, {"tittle": 1}))
    client.ask("POST", "/v1/messages", lines, "application/x-ndjson")
    client.ask("GET", f"/v1/messages/{ONE}?box=sent")
    client.ask("GET", f"/v1/messages/{ONE}/files")
    client.ask("GET", "/v1/messages/9/files/0")
    client.ask("POST", "/v1/inbox/take", {})
    client.ask("POST", "/v1/inbox/ack", {"ids": [ONE, TWO]})
    client.ask("POST", f"/v1/messages/{ONE}/sign-for", {"by": "王芳"})
    client.ask("POST", f"/v1/messages/{ONE}/return", {"reason": "汛情"})
    client.ask("POST", f"/v1/messages/{ONE}/cancel", {})
    client.ask("POST", "/v1/messages/%E6%B1%9B%E6%83%85/cancel", {})
    client.ask("GET", "/v1/status")
    noted = running.noted()
    assert {note.by for note in noted} == {caller}
    assert "汛情" not in str(noted)
    assert "王芳" not in str(noted)
    assert [(note.did, dict(note.details)) for note in noted] == [
        ("send", {"id": ONE, "code": "OK", "to": 1}),
        ("send", {"id": ONE, "code": "ID_REUSED"}),
        ("show", {"id": ONE, "code": "OK"}),
        ("send", {"code": "BAD_FIELD"}),
        ("send", {"id": TWO, "code": "OK", "to": 1}),
        ("save", {"id": ONE, "code": "OK"}),
        ("save", {"id": "9", "code": "NOT_FOUND"}),
        ("take", {"ids": [ONE, TWO], "code": "OK"}),
        ("ack", {"ids": [ONE, TWO], "code": "OK"}),
        ("sign_for", {"id": ONE, "code": "OK"}),
        ("return", {"id": ONE, "code": "OK"}),
        ("cancel", {"id": ONE, "code": "OK"}),
        ("cancel", {"code": "NOT_FOUND"}),
    ]


def test_g15_what_was_not_permitted_is_noted(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    running.noted()
    monkeypatch.setattr("relay.api.peer.peer_of", lambda _connection: Peer(4002, 100, frozenset({5000}), 1))
    with running.connect() as client:
        client.ask("POST", "/v1/messages", DRAFT)
        client.ask("GET", "/v1/status")
    assert [(note.by, note.did, note.details["code"]) for note in running.noted()] == [
        ("uid:4002/gid:100", "send", "NOT_PERMITTED"),
        ("uid:4002/gid:100", "look", "NOT_PERMITTED"),
    ]


def test_g15_whatever_changes_something_or_shows_text_has_a_word_in_the_audit_log() -> None:
    silent = {(operation.method, operation.path) for operation in OPERATIONS if not operation.noted}
    assert {path for method, path in silent if method != "GET"} == set()
    assert not any("{id}" in path and "files" in path for _, path in silent)


def test_the_audit_log_is_read_checked_and_streamed(running: Running, client: Client) -> None:
    running.noted()
    assert json.loads(client.ask("GET", "/v1/audit?limit=3")[2]) == {"v": 1, "n": 1, "limit": 3}
    assert json.loads(client.ask("GET", "/v1/audit?after=41&limit=3")[2])["n"] == 42
    head = "ab" * 32
    found = json.loads(
        client.ask("POST", "/v1/audit/verify", {"heads": [{"head": head, "count": 9}, {"head": head}]})[2]
    )
    assert found["heads"] == [[9, head], [0, head]]
    assert client.ask("POST", "/v1/audit/verify", {"heads": [{"head": "AB" * 32}]})[0] == 422
    status, headers, body = client.ask("GET", "/v1/audit/export")
    assert (status, headers["content-type"], body) == (200, "application/x-tar", b"onetwo")
    # Who follows the log writes nothing into it.
    words = ["audit_tail", "audit_verify", "audit_verify", "audit_export"]
    assert [note.did for note in running.noted()] == words


def test_the_openapi_document_names_every_operation_and_resolves(client: Client) -> None:
    document = json.loads(client.ask("GET", "/openapi.json")[2])
    assert document == json.loads(json.dumps(openapi_document("1.2")))
    assert document["openapi"].startswith("3.1")
    named = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert named == {(operation.method, operation.path) for operation in OPERATIONS}
    operations = [found for methods in document["paths"].values() for found in methods.values()]
    assert len({found["operationId"] for found in operations}) == len(operations)
    assert all(found["summary"] for found in operations)
    for reference in re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(document)):
        assert reference in document["components"]["schemas"]
