"""The memory of what went on from here: kept to the microsecond of its time, and given up then (G2, G13)."""

from protocol.copy import copy_digest
from protocol.frame import COPY_ITEM
from protocol.ids import Digest
from protocol.lanes import Lane
from protocol.parcel import Parcel
from relay.store import held
from relay.store.database import Txn
from relay.store.held import Held
from tests import world
from tests.relay.office_store import office_store, tried


def test_g02_who_has_custody_is_remembered_as_long_as_was_said_and_no_longer() -> None:
    digest = copy_digest(b"copy")
    parcel = Parcel(digest, COPY_ITEM, Lane.FLASH, world.COUNTY, world.PROVINCE, 4, (), False, world.MESSAGE)

    def change(txn: Txn) -> None:
        held.hold(txn, [Held(parcel, 1_000, b"copy")])
        held.pass_on(txn, digest, world.CITY, Digest(bytes(32)), 500)
        assert not held.is_held(txn, digest)
        assert held.passed_to(txn, digest) == world.CITY
        assert held.forget_passed(txn, 1_499, 10) == 0
        assert held.passed_to(txn, digest) == world.CITY
        assert held.forget_passed(txn, 1_500, 0) == 0
        assert held.forget_passed(txn, 1_500, 10) == 1
        assert held.passed_to(txn, digest) is None

    with office_store() as store:
        tried(store, change)
