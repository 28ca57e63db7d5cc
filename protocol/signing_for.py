"""What a person signs who takes a message over (签收): the proof in a `signed_for` receipt (SPEC section "Persons")."""

from dataclasses import dataclass
from typing import Final

from protocol import limits
from protocol.cbor import dumps, loads
from protocol.fields import Fields
from protocol.ids import Digest, MessageId, NetworkId, OfficeId

VERSION: Final = 1

PERSON_SIGNED: Final = "person_signed"
"""The receipt carries the person's own signature."""
OFFICE_ATTESTED: Final = "office_attested"
"""The office says who signed for it."""


@dataclass(frozen=True, slots=True)
class SigningFor:
    """A person of `office` signs at `at_us` for the message `id`, whose content has this digest."""

    network: NetworkId
    office: OfficeId
    id: MessageId
    digest: Digest
    at_us: int


def encode_signing_for(signing: SigningFor) -> bytes:
    """The payload that the person signs."""
    return dumps(
        {0: VERSION, 1: signing.network, 2: signing.office, 3: signing.id, 4: signing.digest, 5: signing.at_us}
    )


def decode_signing_for(payload: bytes) -> SigningFor:
    """The fields of the record; raises `RemoteError`. Says nothing of who signed it."""
    f = Fields(loads(payload, max_bytes=limits.RECORD_BYTES), "signing-for")
    f.version(VERSION)
    signing = SigningFor(
        network=NetworkId(f.fixed(1, limits.NETWORK_ID_BYTES)),
        office=OfficeId(f.fixed(2, limits.OFFICE_ID_BYTES)),
        id=MessageId(f.fixed(3, limits.MESSAGE_ID_BYTES)),
        digest=Digest(f.fixed(4, limits.DIGEST_BYTES)),
        at_us=f.uint(5),
    )
    f.done()
    return signing
