"""The store against a dictionary: restarts, failing changes and versions (G1, G3)."""

import shutil
import tempfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from relay.store.database import Txn
from relay.store.sealed_table import RowChanged, RowExists
from tests.relay.store.place import LETTERS, Place, letter

OFFICE = b"o" * 16
NUMBERS = st.integers(0, 4)
BODIES = st.binary(max_size=40)
STATES = st.sampled_from(["new", "sent", "done", "完成"])


class ChangeFailed(Exception):
    """Raised by a change on purpose."""


class StoreModel(RuleBasedStateMachine):
    """Each rule does the same to the store and to `rows`: number -> (state, body, version)."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.place = Place(self.folder)
        self.store = self.place.open()
        self.rows: dict[int, tuple[str, bytes, int]] = {}

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(number=NUMBERS, state=STATES, body=BODIES)
    def insert(self, number: int, state: str, body: bytes) -> None:
        def change(txn: Txn) -> None:
            LETTERS.insert(txn, letter(number, state=state), body)

        if number in self.rows:
            with pytest.raises(RowExists):
                self.store.run(change)
        else:
            self.store.run(change)
            self.rows[number] = (state, body, 1)

    @rule(number=NUMBERS, state=STATES, body=BODIES)
    def put(self, number: int, state: str, body: bytes) -> None:
        row = self.store.run(lambda txn: LETTERS.put(txn, letter(number, state=state), body))
        version = self.rows[number][2] + 1 if number in self.rows else 1
        assert row.version == version
        self.rows[number] = (state, body, version)

    @rule(number=NUMBERS, state=STATES, body=st.none() | BODIES)
    def update(self, number: int, state: str, body: bytes | None) -> None:
        row = self.store.run(lambda txn: LETTERS.get(txn, OFFICE, number))
        assert (row is not None) == (number in self.rows)
        if row is None:
            return
        self.store.run(lambda txn: LETTERS.update(txn, row, body, state=state))
        with pytest.raises(RowChanged):
            self.store.run(lambda txn: LETTERS.update(txn, row, body, state="lost"))
        _, old_body, version = self.rows[number]
        self.rows[number] = (state, old_body if body is None else body, version + 1)

    @rule(number=NUMBERS)
    def delete(self, number: int) -> None:
        assert self.store.run(lambda txn: LETTERS.delete(txn, OFFICE, number)) == (number in self.rows)
        self.rows.pop(number, None)

    @rule(number=NUMBERS, body=BODIES)
    def fail_half_way(self, number: int, body: bytes) -> None:
        def change(txn: Txn) -> None:
            LETTERS.put(txn, letter(number, state="half"), body)
            LETTERS.delete(txn, OFFICE, (number + 1) % 5)
            raise ChangeFailed

        with pytest.raises(ChangeFailed):
            self.store.run(change)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self.place.open()

    @rule()
    def lose_power(self) -> None:
        """What a killed process leaves: the files as they are, WAL included."""
        copy = Path(tempfile.mkdtemp(dir=self.folder))
        for path in self.place.store.iterdir():
            shutil.copy(path, copy)
        self.store.close()
        for path in copy.iterdir():
            shutil.copy(path, self.place.store)
        self.store = self.place.open()
        assert self.store.database.problems == ()

    @invariant()
    def rows_are_those_of_the_model(self) -> None:
        found = self.store.run(LETTERS.select)
        assert {row["number"]: (row["state"], row.body, row.version) for row in found} == self.rows
        for state in {state for state, _, _ in self.rows.values()}:
            here = sum(state == kept for kept, _, _ in self.rows.values())
            assert self.store.run(partial(LETTERS.unverified_count, where="state = ?", args=(state,))) == here


TestG03StoreModel = StoreModel.TestCase
PROFILE = settings.get_profile(settings.get_current_profile_name())
TestG03StoreModel.settings = settings(PROFILE, max_examples=max(PROFILE.max_examples // 4, 1), stateful_step_count=25)
