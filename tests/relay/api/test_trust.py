"""The network directory over the API."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.schema import Api
from tests.relay.api.office import Client, Running, settings


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    with running.connect() as connected:
        yield connected


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    started = Running(tmp_path / "run", settings(api=Api(stop_s=1)))
    yield started
    started.stop()


def test_the_directory_is_given_and_read(running: Running, client: Client) -> None:
    given = {"timestamp.json": "e30=", "1.root.json": "e30="}
    assert json.loads(client.ask("POST", "/v1/trust", {"files": given})[2]) == {
        "v": 1, "version": 2, "changed": True, "brokers": ["1.root.json", "timestamp.json"],
    }  # fmt: skip
    for body, code in (
        ({"files": {"1.root.json": "e30="}}, "BAD_TRUST"),
        ({"files": {}}, "BAD_FIELD"),
        ({"files": {"timestamp.json": "not base64"}}, "BAD_FIELD"),
        ({"file": given}, "BAD_FIELD"),
    ):
        assert json.loads(client.ask("POST", "/v1/trust", body)[2])["code"] == code
    assert json.loads(client.ask("GET", "/v1/trust")[2])["files"] == {"timestamp.json": "e30="}
    assert [note.details["code"] for note in running.noted()] == [
        "OK",
        "BAD_TRUST",
        "BAD_FIELD",
        "BAD_FIELD",
        "BAD_FIELD",
    ]
