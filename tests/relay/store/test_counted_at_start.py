"""What is counted in memory at every start, when the pages that it is counted from make no sense (G16)."""

import sqlite3
from contextlib import closing

import pytest

from relay.store import database as database_module
from relay.store.database import PAGE_BYTES
from tests.relay.store.place import Place, writing

COUNTED = "CREATE TEMP TABLE counted AS SELECT number FROM letters NOT INDEXED"
FREE_PAGES_AT = 36
"""Where the header of an SQLite file has the number of free pages."""


def test_g16_a_page_that_cannot_be_counted_ends_no_start_and_is_told(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a store that is too large to be checked at each start."""
    monkeypatch.setattr(database_module, "CHECKED_AT_START_BYTES", 0)
    store = place.open()
    store.run(writing(1))
    store.close()
    (place.migrations / "start.sql").write_text(COUNTED)
    with closing(sqlite3.connect(place.database)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'letters'").fetchone()
    with place.database.open("r+b") as file:
        file.seek((root - 1) * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES))
    database = place.opener()()
    assert database.problems == ("database disk image is malformed",)
    database.close()


def test_g16_what_can_be_counted_hides_no_problem(place: Place) -> None:
    place.open().close()
    (place.migrations / "start.sql").write_text(COUNTED)
    with place.database.open("r+b") as file:
        file.seek(FREE_PAGES_AT)
        file.write((1).to_bytes(4, "big"))
    database = place.opener()()
    assert any("freelist" in problem for problem in database.problems)
    database.close()


def test_any_other_fault_of_the_count_ends_the_start(place: Place) -> None:
    place.open().close()
    (place.migrations / "start.sql").write_text("SELECT nobody_knows_this()")
    with pytest.raises(sqlite3.OperationalError, match="no such function"):
        place.opener()()
