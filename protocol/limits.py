"""Every hard maximum of the wire format, with its unit and the reason for it.

Nothing here is a setting: two relays that disagreed about one of these numbers could not talk.
What an administrator may choose lives in `config/schema.py`.
"""

from typing import Final

SECOND_US: Final = 1_000_000
"""Microseconds in a second; every protocol time is an integer of microseconds since 1970 (UTC)."""

UINT_MAX: Final = 2**53 - 1
"""Largest integer of any object: JSON readers keep it exact, and a column of SQLite holds it and many more."""

TIME_MAX_US: Final = UINT_MAX
"""Latest time, in the year 2255, which every calendar has."""

MAX_LIFE_US: Final = 45 * 86_400 * SECOND_US
"""Longest life of a message (D7): a month offline plus two weeks to notice."""

RECEIPT_EXTRA_LIFE_US: Final = MAX_LIFE_US
"""A receipt outlives its message by this much (D1), so that a late answer still finds its question."""

CLOCK_AHEAD_US: Final = 300 * SECOND_US
"""`created` further ahead than this is held, not refused (D12): clocks of offices drift."""

DEADLINE_STEP_US: Final = 300 * SECOND_US
"""The clear header shows a deadline rounded up to this step, so that it tells relays little."""

FRAME_BYTES: Final = 64 * 1024
"""Largest frame below urgent (D3): at 2 Mbit/s one frame holds the link 250 ms (G5)."""

FRAME_FLOOR_BYTES: Final = 1024
"""A frame is never cut below this on a slow link: the signature alone is 150 bytes."""

FRAME_ITEMS: Final = 128
"""Most items, custody entries or nacks in one frame: bounds the work one signature can cause."""

SEALED_BYTES: Final = 48 * 1024
"""Largest sealed content (D6): with header, trail and frame it must fit into FRAME_BYTES."""

CONTENT_BYTES: Final = 1024 * 1024
"""Largest content after decompression: a zstd bomb of 48 KiB could claim gigabytes, and papers shrink to a tenth."""

TITLE_CHARS: Final = 100
"""Longest title in characters (CONTRACT 11)."""

NAME_BYTES: Final = 255
"""Longest attachment name in UTF-8 bytes: what common file systems can hold."""

ATTACHMENTS: Final = 64
"""Most attachments of one message: a list a clerk can still check by eye."""

RECIPIENTS: Final = 2_000
"""Most recipients of one message: the largest broadcast of the province has 1,384."""

TRAIL_OFFICES: Final = 8
"""Longest trail of relays (D1): province, city and county twice, and two to spare."""

FORWARD_DEPTH: Final = 8
"""Deepest nesting of forwarded originals: township to State Council is five."""

CBOR_DEPTH: Final = 16
"""Deepest CBOR nesting: the deepest legal object has nine levels."""

PERSON_SIGNATURES: Final = 8
"""Most persons' signatures in one content: one per role and some to spare."""

APPROVAL_BYTES: Final = 64 * 1024
"""Largest approval of a person: it repeats the recipients, and 2,000 addresses take 42 KiB at most."""

TEXT_CHARS: Final = 1_000
"""Longest short text (person, reason of a return, refusal detail)."""

RECORD_BYTES: Final = 16 * 1024
"""Largest stand-alone signed record (receipt, presence, prekey): an X-Wing prekey has 1.4 KiB."""

DIRECTORY_BYTES: Final = 4 * 1024 * 1024
"""Largest directory file: 1,500 offices need about 600 KiB."""

OFFICE_ID_BYTES: Final = 16
NETWORK_ID_BYTES: Final = 16
MESSAGE_ID_BYTES: Final = 16
KEY_ID_BYTES: Final = 16
EPOCH_BYTES: Final = 8
START_BYTES: Final = 8
DIGEST_BYTES: Final = 32
SALT_BYTES: Final = 32

assert SEALED_BYTES + 8 * 1024 < FRAME_BYTES, "a full content must fit into one frame"
assert RECORD_BYTES < FRAME_BYTES, "a record must fit into one frame"
