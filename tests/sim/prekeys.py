"""The first prekey of a simulated home, and the loss of all of them."""

from keys.prekeys import PrekeyRecord
from protocol.limits import MAX_LIFE_US
from relay.store import prekeys
from relay.store.database import Txn


def keep_first(txn: Txn, record: PrekeyRecord, seed: bytes) -> None:
    """What the daemon takes from HOME/keys at its first start."""
    forget_us = record.not_after_us + MAX_LIFE_US
    prekeys.keep_own(txn, record.prekey_id, record.epoch, forget_us, seed, record.data)


def lose_all(txn: Txn) -> None:
    """As in a home of which only a part came back."""
    txn.connection.execute("DELETE FROM own_prekeys")
    txn.connection.execute("DELETE FROM meta WHERE name = 'prekey_epoch'")
