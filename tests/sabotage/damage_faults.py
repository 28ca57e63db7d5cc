"""Faults in what is done about damage: rows that are mended, salvaged, made again from others, asked for again."""

from typing import Final

from tests.sabotage.fault import Fault, fault

_SALVAGE: Final = "tests/relay/store/test_salvage.py"
_PAGES: Final = "tests/relay/store/test_pages.py"
_REMAINS: Final = "tests/relay/store/test_remains.py"
_LOST: Final = "tests/relay/store/test_lost.py"
_ROWS: Final = "tests/relay/store/test_sealed_table.py"
_ROT: Final = "tests/sim/test_rot.py"
_SCENES: Final = "tests/sim/test_remains.py"

DAMAGE_FAULTS: Final[tuple[Fault, ...]] = (
    fault("G3", "a row is salvaged although its seal does not open", "relay/store/salvage.py",
          "            if table.open_stored(self._cipher, stored) is not None:", "            if stored:", _SALVAGE),
    fault("G1", "the last page of a damaged database is forgotten", "relay/store/pages.py",
          "    for number in range(1, count + 1):\n", "    for number in range(1, count):\n", _PAGES),
    fault("G1", "a row that goes on over several pages is not read", "relay/store/pages.py",
          "        following = _number(more[:4])\n", "        following = 0\n", _PAGES),
    fault("G11", "what was deleted is salvaged from pages that are free", "relay/store/pages.py",
          "page and number not in free:", "page:", _PAGES),
    fault("G1", "a damaged list of free pages is believed", "relay/store/pages.py",
          "    return free if len(free) == _number(header[36:40]) else set()\n", "    return free\n", _PAGES),
    fault("G1", "after a salvage nobody looks for what is missing", "relay/store/salvage.py",
          "        for table in _LOOKED_FOR:\n", "        for table in ():\n",
          f"{_SCENES}::test_g01_g02_g16_a_page_of_nothing_in_a_store_loses_and_repeats_no_message", quick=False),
    fault("G16", "a page that makes no sense is met again after every start", "relay/store/salvage.py",
          "        suspect = (directory / SUSPECT_NAME).exists()\n", "        suspect = False\n", _SALVAGE),
    fault("G1", "a database of which nothing opens is replaced by an empty one", "relay/store/salvage.py",
          "        if found.kept:\n", "        if True:\n", _SALVAGE),
    fault("G11", "a database that was salvaged outlives a forgotten prekey", "relay/store/database.py",
          "        erase(self._log_path.with_name(DAMAGED_NAME))\n", "", _SALVAGE),
    fault("G3", "a row is mended into anything", "relay/store/mending.py",
          "            if whole and cipher.opens(associated, sealed):", "            if whole:", _ROWS),
    fault("G1", "what follows a flipped bit of the write-ahead log is forgotten", "relay/store/wal.py",
          "    if count:\n        handle", "    if count < 0:\n        handle", "tests/relay/store/test_wal.py"),
    fault("G1", "rows that no query finds any more are not looked through", "relay/store/sealed_table.py",
          "            if self.open_stored(txn.cipher, stored) is None:\n", "            if stored is None:\n",
          f"{_SCENES}::test_g01_a_row_that_no_query_finds_any_more_is_looked_for_and_mended", quick=False),
    fault("G1", "a message is made again from its remains under a wrong recipient", "relay/store/remains.py",
          '        "message_id": message_id, "office": office, "stage": stage, "state"',
          '        "message_id": message_id, "office": me, "stage": stage, "state"', _REMAINS),
    fault("G8", "what may have been sent counts as never sent when it is made again", "relay/store/remains.py",
          '"begun": int(not unsent),', '"begun": 0,', _REMAINS),
    fault("G8", "a message of which no word is left is owed for ever", "relay/store/remains.py",
          "    if not (state.final or terms.digest):\n", "    if False:\n", _REMAINS),
    fault("G1", "copies that are still held are not sent when their message is made again", "relay/store/remains.py",
          '    return said, [] if row["stage"] == FINAL else copies\n', "    return said, []\n", _REMAINS),
    fault("G1", "a copy that is lost is not sealed again", "relay/store/remains.py",
          "    elif _lacks_copy(row, txn.now_us) and not copies:\n", "    elif False:\n", _REMAINS),
    fault("G1", "messages whose rows are gone are not made again", "relay/restoring.py",
          "            if damage.of_sent and damage.total > looked_at:\n", "            if False:\n",
          _SCENES, quick=False),
    fault("G1", "a received message whose row is gone is not asked for", "relay/restoring.py",
          "            if damage.of_inbox and (", "            if False and (", _ROT, quick=False),
    fault("G2", "what rotted after it was handed out comes again as new", "relay/store/lost.py",
          "        return not (row[\"state\"] in (b\"new\", b\"opened\") and row[\"handed_us\"] is None and "
          "row[\"acked\"] == 0)\n", "        return False\n", _LOST),
    fault("G2", "what comes again does not say that a reader may have had it", "relay/store/lost.py",
          "    flags = message.flags | (REDELIVERED if lost.handed else 0)\n", "    flags = message.flags\n", _LOST),
    fault("G1", "lost messages whose time is over use up the places of those that live", "relay/store/lost.py",
          " if one.expires_us > txn.now_us), limit))\n", "), limit))\n", _LOST),
    fault("G13", "what is left of a damaged message stays for ever", "relay/restoring.py",
          "                await self._forget()\n", "", _ROT, quick=False),
)  # fmt: skip
