"""Every row of a stopped store under another key: one transaction, so that a crash leaves the old key or the new."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from keys.rows import SALT_BYTES, RowCipher
from protocol.cbor import dumps
from relay.ports import Entropy
from relay.store.database import Database, Txn
from relay.store.sealed_table import BEGINNING, SealedTable
from relay.store.tables import ALL

SLICE_ROWS: Final = 500
"""Rows that are in memory at a time."""


def reseal(
    folder: Path, old: RowCipher, new: RowCipher, *, entropy: Entropy, migrations: Path, quota_bytes: int, now_us: int
) -> int:
    """Seal every row under `new` that opens under `old`; how many.

    A row in which a bit flipped is mended first: nobody can do that when `old` is gone. What opens under neither key
    stays as it is. The write-ahead log grows by the size of the store meanwhile, and is overwritten at the end.
    Raises `HomeInUse`, `StoreUnusable`, `sqlite3.Error`, `OSError`; then nothing has changed.
    """
    database = Database.open(
        folder, cipher=new, entropy=entropy, migrations=migrations, quota_bytes=quota_bytes, ballast_bytes=0
    )
    try:
        txn = database.begin(now_us)
        try:
            count = sum(_reseal_table(txn, table, old) for table in ALL)
            txn.erasures.extend(table.name for table in ALL)
            database.commit()
        except BaseException:
            database.roll_back()
            raise
        database.checkpoint()
    finally:
        database.close()
    return count


def _reseal_table(txn: Txn, table: SealedTable, old: RowCipher) -> int:
    count, after = 0, BEGINNING
    before = replace(txn, cipher=old)
    change = f"UPDATE {table.name} SET sealed = ? WHERE rowid = ?"  # noqa: S608 - a constant name
    while found := txn.connection.execute(table.slice_sql, (after, SLICE_ROWS)).fetchall():
        for rowid, *stored in found:
            row = table.open_stored(old, stored)
            if row is not None:
                *values, version, _ = stored
                associated = dumps([table.name, version, values])
                sealed = txn.cipher.seal(associated, row.body, txn.entropy.bytes(SALT_BYTES))
                txn.connection.execute(change, (sealed, rowid))
                count += 1
            elif table.open_stored(txn.cipher, stored) is None and (row := table.mended(before, rowid, stored)):
                table.update(txn, row)
                count += 1
            after = rowid
    return count
