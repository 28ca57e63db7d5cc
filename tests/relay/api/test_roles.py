"""Which roles a caller has, and what they open."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.problems import ConfigError
from config.schema import Api, Limits, Members, Roles
from relay.api.peer import ROLES, Peer, role_table
from tests.relay.api.office import DRAFT, ONE, TWO, Running, settings


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with tempfile.TemporaryDirectory() as folder:
        started = Running(Path(folder) / "run", settings(limits=Limits(user_connections=2), api=Api(stop_s=1)))
        yield started
        started.stop()


def test_roles_come_from_users_and_groups() -> None:
    roles = Roles(send=Members(users=(4001, "root")), receive=Members(groups=(5001,)))
    table = role_table(roles, own_uid=4000)
    assert (
        table.roles_of(Peer(0, 100, frozenset({0}), 1)) == table.roles_of(Peer(4000, 100, frozenset(), 1)) == set(ROLES)
    )
    assert table.roles_of(Peer(4001, 100, frozenset({5001}), 1)) == {"send", "receive"}
    assert table.roles_of(Peer(4002, 100, frozenset({5000}), 1)) == frozenset()
    with pytest.raises(ConfigError) as error:
        role_table(Roles(read=Members(users=("no such user",))), own_uid=1)
    assert "[api.roles.read] users" in str(error.value)


@pytest.mark.parametrize("role", ["send", "receive"])
def test_who_has_one_role_gets_no_words_through_the_other(
    running: Running, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    monkeypatch.setattr("relay.api.peer.RoleTable.roles_of", lambda _table, _peer: frozenset({role}))
    with running.connect() as client:
        client.ask("POST", "/v1/messages", DRAFT)
        status, _, evidence = client.ask("GET", f"/v1/messages/{ONE}/evidence")
        forwarded, _, _ = client.ask("POST", f"/v1/messages/{ONE}/forward", {**DRAFT, "id": TWO})
    # What a program that only sends may not read, it may not send away or take as evidence either.
    assert (status, evidence.decode().split()[1:]) == (200, ["sent" if role == "send" else "inbox"])
    assert forwarded == 403


def test_g13_a_user_who_only_knocks_takes_no_more_than_some_connections(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = iter([4001, 4001, 4001, 4002, 4001])
    monkeypatch.setattr("relay.api.peer.peer_of", lambda _connection: Peer(next(peers), 100, frozenset(), 1))
    with (
        running.connect() as first,
        running.connect() as second,
        running.connect() as third,
        running.connect() as other,
    ):
        assert [one.ask("GET", "/livez")[0] for one in (first, second, other)] == [200, 200, 200]
        head, _, body = third.sock.recv(4096).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert (json.loads(body)["code"], json.loads(body)["exit"]) == ("BUSY", 75)
        first.close()
        # Two questions later the server has seen that.
        assert [second.ask("GET", "/livez")[0] for _ in range(2)] == [200, 200]
        with running.connect() as again:
            assert again.ask("GET", "/livez")[0] == 200
