"""Faults in what lies on the disk."""

from typing import Final

from tests.sabotage.fault import Edit, Fault, fault

_DATABASE: Final = "tests/relay/store/test_database.py"
_ROWS: Final = "tests/relay/store/test_sealed_table.py"

STORE_FAULTS: Final[tuple[Fault, ...]] = (
    fault("G1", "commits do not reach the disk (synchronous=NORMAL)", "relay/store/database.py",
          '"synchronous = FULL"', '"synchronous = NORMAL"', _DATABASE),
    Fault(
        "commits do not reach the disk, and nobody reads the setting back", "G1",
        (
            Edit("relay/store/database.py", '"synchronous = FULL"', '"synchronous = NORMAL"'),
            Edit("relay/store/database.py", '"synchronous": 2, ', ""),
        ),
        (_DATABASE,),
    ),
    fault("G1", "a failed fsync is tried again", "relay/store/group.py",
          '    return "change" if code in _OWN_CODES else "store"\n',
          '    return "change" if code in _OWN_CODES else "room"\n', _DATABASE),
    fault("G3", "clear columns are not bound to their row", "relay/store/sealed_table.py",
          "body = cipher.open(dumps([self.name, version, values]), sealed)",
          "body = cipher.open(dumps([self.name, version, values[: self._shape]]), sealed)", _ROWS),
    Fault(
        "clear columns are not bound to their row, on either side", "G3",
        (
            Edit("relay/store/sealed_table.py", "body = cipher.open(dumps([self.name, version, values]), sealed)",
                 "body = cipher.open(dumps([self.name, version, values[: self._shape]]), sealed)"),
            Edit("relay/store/sealed_table.py", "sealed = txn.cipher.seal(dumps([self.name, version, plain]), body,",
                 "sealed = txn.cipher.seal(dumps([self.name, version, plain[: self._shape]]), body,"),
        ),
        (_ROWS,),
    ),
    Fault(
        "a row may be put back as it was (no version in it)", "G12",
        (
            Edit("relay/store/sealed_table.py", "cipher.open(dumps([self.name, version, values]), sealed)",
                 "cipher.open(dumps([self.name, values]), sealed)"),
            Edit("relay/store/sealed_table.py", "sealed = txn.cipher.seal(dumps([self.name, version, plain]), body,",
                 "sealed = txn.cipher.seal(dumps([self.name, plain]), body,"),
        ),
        (_ROWS,),
    ),
    fault("G3", "a damaged row is deleted instead of kept aside", "relay/store/damage.py",
          "        (table, key_text, txn.now_us, int(mended), columns),\n    )\n",
          "        (table, key_text, txn.now_us, int(mended), columns),\n    )\n"
          "    txn.connection.execute(\"DELETE FROM damaged\")\n", _ROWS),
    fault("G11", "bodies lie in the clear", "keys/rows.py",
          "        return entropy + aes_gcm_seal(hkdf(self._master_key, entropy, 32), _NONCE, plaintext, associated)",
          "        return entropy + aes_gcm_seal(hkdf(self._master_key, entropy, 32), _NONCE, plaintext, associated)"
          " + plaintext", _ROWS),
    fault("G11", "a deleted prekey stays on its page", "relay/store/prekeys.py",
          "secure_delete = ON", "secure_delete = FAST", "tests/relay/store/test_own_prekeys.py"),
    fault("G11", "the log shows what was deleted", "relay/store/database.py",
          "        overwrite(self._log_path)\n", "", "tests/relay/store/test_own_prekeys.py"),
    fault("G13", "quarantine grows without end", "relay/store/quarantine.py",
          '    txn.connection.execute("DELETE FROM quarantine WHERE seq <= (SELECT max(seq) FROM quarantine) - ?", '
          "(rows_max,))\n", "    bytes_max = 1 << 60\n", "tests/relay/store/test_quarantine.py"),
    fault("G13", "routine fills the store up to the last page", "relay/admission.py",
          "Lane.ROUTINE: 80, Lane.BULK: 80}", "Lane.ROUTINE: 99, Lane.BULK: 99}", _DATABASE),
    fault("G4", "a skipped number is not shown", "relay/store/streams.py",
          "        return GAP if step.skipped else", "        return 0 if step.skipped else",
          "tests/relay/store/test_numbers.py"),
    fault("G2", "what is handed out again does not say so", "relay/store/inbox.py",
          "*((row, REDELIVERED) for row in again)]", "*((row, 0) for row in again)]",
          "tests/relay/test_books.py"),
    fault("G5", "changes are committed first come, first served", "relay/store/writer.py",
          "        lanes = [lane for lane in Lane if self._changes[lane]]\n",
          "        lanes = [lane for lane in reversed(Lane) if self._changes[lane]]\n",
          "tests/relay/store/test_writer.py"),
    fault("G2", "a memory is dropped although its time is not over", "relay/store/held.py",
          '    rows = PASSED.select(txn, "forget_us <= ?", (now_us,), limit=limit)',
          '    rows = PASSED.select(txn, "forget_us <= ?", (now_us + (60 << 40),), limit=limit)',
          "tests/relay/store/test_held.py"),
)  # fmt: skip
