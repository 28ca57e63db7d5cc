"""A small store of its own for each test."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inline_store import InlineStore
from tests.relay.store.place import Place


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        yield Place(Path(folder))


@pytest.fixture
def store(place: Place) -> Iterator[InlineStore]:
    opened = place.open()
    yield opened
    opened.close()
