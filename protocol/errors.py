"""The two ways in which input can be wrong.

`RemoteError`: bytes from the network (or from a file) break a rule of SPEC.md. The code is stable and
goes into the quarantine record. `Refused`: a local request cannot be carried out; the code is one of
CONTRACT section 5 and decides the exit status. Neither carries secrets or message text.
"""

from typing import Final


class RemoteError(Exception):
    """Bytes that were not made by a correct relay, or not by whom they claim.

    `code` is one of `REMOTE_CODES`; `detail` says in English which rule was broken.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        if code not in REMOTE_CODES:
            raise ValueError(f"unknown remote error code {code!r}")
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


class Refused(Exception):
    """A request that is answered with a stable code (CONTRACT sections 2, 5 and 11).

    `code` UPPER_SNAKE, `detail` the particular reason in English, `field` the input that is wrong.
    The console translates the code; `detail` and `field` are added to it.
    """

    def __init__(self, code: str, detail: str = "", *, field: str | None = None) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.field = field


REMOTE_CODES: Final = frozenset(
    {
        "MALFORMED",  # not strict CBOR, or not of the shape the CDDL gives
        "TOO_LARGE",  # over a limit of protocol/limits.py
        "BAD_VERSION",  # a version this relay does not speak
        "BAD_SUITE",  # a suite that the directory does not allow, or a key of another suite
        "BAD_SIGNATURE",  # the signature does not verify
        "UNKNOWN_KEY",  # the key id is not in the directory for that office
        "WEAK_KEY",  # a public key of small order, or not in its one form
        "SUSPENDED",  # the office is not believed until that is over (D8)
        "KEY_NOT_VALID",  # the key was not valid, or revoked, at the time claimed
        "UNKNOWN_OFFICE",  # the office is not in the directory
        "WRONG_NETWORK",  # another network's object
        "WRONG_TOPIC",  # topic and signed sender, receiver or lane differ
        "WRONG_RECIPIENT",  # sealed for somebody else, or audience differs from the header
        "NOT_ENTITLED",  # lane without the entitlement for it
        "BAD_LIFE",  # expires before created, or life longer than MAX_LIFE
        "EXPIRED",  # past its signed expiry
        "NOT_YET",  # created further ahead than clocks may differ; asked for again later (D12)
        "NOT_OPENED",  # the ciphertext does not open
        "PREKEY_GONE",  # sealed to a prekey whose private half this office no longer holds
        "BAD_DIGEST",  # a commitment (body, attachment, items) does not match
        "ID_REUSED",  # known id with different content
        "RETAINED",  # a frame that was retained by the broker
        "NOT_FOR_US",  # a record about a message that this office did not send
        "STALE",  # a lower epoch or counter than one seen before
    }
)
