"""A small network from fixed seeds: the same keys, ids and times wherever a test or a vector needs an office.

Three offices report upward: Sheyang county, Yancheng city, Jiangsu province. Guanyun county was revoked.
"""

from typing import Final

from keys.mldsa import SecondKey
from keys.primitives import PrekeyPrivate, PrekeyPublic, SigningKey, key_id, prekey_public, sha256
from keys.roster.directory import Directory, Rules
from keys.roster.office_record import OfficeKey, OfficeRecord, Person
from protocol.approval import Approval, subject_digest, subject_of
from protocol.content import AttachmentRecord, Bundle, Content, body_digest, encode_content, file_digest, salt_digest
from protocol.copy import CopyHeader, round_deadline
from protocol.frame import Frame, items_digest
from protocol.ids import Address, Digest, Epoch, MessageId, NetworkId, OfficeId, StartId
from protocol.lanes import Lane, entitlement_of, lane_for
from protocol.limits import SECOND_US
from protocol.moment import NO_EPOCH, Moment
from protocol.presence import Presence
from protocol.receipt import Place, Receipt, encode_place
from protocol.signing_for import SigningFor

NOW_US: Final = 1_767_225_600 * SECOND_US
"""2026-01-01T00:00:00Z."""
DAY_US: Final = 86_400 * SECOND_US
HOUR_US: Final = 3_600 * SECOND_US


def seed(name: str) -> bytes:
    """32 bytes that everybody can compute again."""
    return sha256(b"yizhan test seed: " + name.encode())


NETWORK: Final = NetworkId(seed("network")[:16])
EPOCH: Final = Epoch(seed("epoch")[:8])
MOMENT: Final = Moment(EPOCH, NO_EPOCH, StartId(seed("start")[:8]), 1_200, 1_234)
"""Of the city, when it signs frames and presence."""
COUNTY_KEY: Final = SigningKey.from_seed(seed("county"))
CITY_KEY: Final = SigningKey.from_seed(seed("city"))
PROVINCE_KEY: Final = SigningKey.from_seed(seed("province"))
REVOKED_KEY: Final = SigningKey.from_seed(seed("revoked"))
STRANGER_KEY: Final = SigningKey.from_seed(seed("stranger"))
OLD_KEY: Final = SigningKey.from_seed(seed("county, last year"))
LOST_KEY: Final = SigningKey.from_seed(seed("county, lost"))
CLERK_KEY: Final = SigningKey.from_seed(seed("clerk"))
REVIEWER_KEY: Final = SigningKey.from_seed(seed("reviewer"))
ISSUER_KEY: Final = SigningKey.from_seed(seed("issuer"))
PROVINCE_CLERK_KEY: Final = SigningKey.from_seed(seed("province clerk"))
PROVINCE_CLERK: Final = "李处长"

COUNTY: Final = OfficeId(seed("county id")[:16])
CITY: Final = OfficeId(seed("city id")[:16])
PROVINCE: Final = OfficeId(seed("province id")[:16])
REVOKED: Final = OfficeId(seed("revoked id")[:16])
STRANGER: Final = OfficeId(seed("stranger id")[:16])

COUNTY_ADDRESS: Final = Address("320924-GO")
CITY_ADDRESS: Final = Address("320900-GO")
PROVINCE_ADDRESS: Final = Address("320000-GO")
REVOKED_ADDRESS: Final = Address("320723-GO")

CITY_SECOND: Final = SecondKey.from_seed(seed("city, second"))

PREKEY_SEED: Final = seed("province prekey")
PREKEYS: Final = {suite: PrekeyPrivate(suite, PREKEY_SEED) for suite in (1, 2)}
PREKEY_PUBLICS: Final = {suite: PrekeyPublic(suite, prekey_public(suite, PREKEY_SEED)) for suite in (1, 2)}
PREKEY_IDS: Final = {suite: key_id(suite, prekey_public(suite, PREKEY_SEED)) for suite in (1, 2)}

MESSAGE: Final = MessageId(bytes.fromhex("019b76da00007c3e8f0a5b6c7d8e9f01"))
BODY: Final = "射阳县临海镇12月31日23时发生4.1级地震，暂无人员伤亡报告。\n"
FILE: Final = b"intensity map, in short\n"


CITY_SECOND_KEY: Final = OfficeKey.second(CITY_SECOND.public(), NOW_US - 100 * DAY_US, NOW_US + 300 * DAY_US)


def _office_key(key: SigningKey, revoked_since_us: int | None = None) -> OfficeKey:
    return OfficeKey.of(key.public(), NOW_US - 100 * DAY_US, NOW_US + 300 * DAY_US, revoked_since_us)


def _person(name: str, role: str, key: SigningKey) -> Person:
    return Person.of(name, (role,), key.public(), NOW_US - DAY_US, NOW_US + 300 * DAY_US)


def make_directory(suites: tuple[int, ...] = (1, 2)) -> Directory:
    """The directory of the four offices."""
    last_year = OfficeKey.of(OLD_KEY.public(), NOW_US - 400 * DAY_US, NOW_US - 100 * DAY_US)
    persons = (
        _person("王芳", "clerk", CLERK_KEY),
        _person("陈静", "reviewer", REVIEWER_KEY),
        _person("周敏", "issuer", ISSUER_KEY),
    )
    offices = (
        OfficeRecord(
            COUNTY, COUNTY_ADDRESS, "射阳县人民政府办公室", "county", CITY, "liaison", ("yancheng",),
            (_office_key(COUNTY_KEY), last_year, _office_key(LOST_KEY, NOW_US - DAY_US)), persons,
        ),
        OfficeRecord(
            CITY, CITY_ADDRESS, "盐城市人民政府办公室", "city", PROVINCE, "liaison", ("province", "yancheng"),
            (_office_key(CITY_KEY), CITY_SECOND_KEY),
        ),
        OfficeRecord(
            PROVINCE, PROVINCE_ADDRESS, "江苏省人民政府办公厅", "province", None, None, ("province",),
            (_office_key(PROVINCE_KEY),), (_person(PROVINCE_CLERK, "clerk", PROVINCE_CLERK_KEY),),
        ),
        OfficeRecord(
            REVOKED, REVOKED_ADDRESS, "灌云县人民政府办公室", "county", PROVINCE, "screened", ("province",),
            (_office_key(REVOKED_KEY),), state="revoked", revoked_since_us=NOW_US - DAY_US,
        ),
    )  # fmt: skip
    return Directory(
        NETWORK, "lab", 7, NOW_US - DAY_US, {office.id: office for office in offices}, Rules(suites=suites),
        {"@quake": (PROVINCE, CITY)},
    )  # fmt: skip


DIRECTORY: Final = make_directory()


def make_content(**changes: object) -> Content:
    """The earthquake report from the county to the province, with changes by field name."""
    salt = seed("salt")
    fields: dict[str, object] = {
        "salt_digest": salt_digest(salt),
        "network": NETWORK,
        "sender": COUNTY,
        "sender_address": COUNTY_ADDRESS,
        "id": MESSAGE,
        "created_us": NOW_US,
        "expires_us": NOW_US + 3 * DAY_US,
        "kind": "incident_first",
        "urgency": "flash",
        "bulk": False,
        "event_level": "II",
        "to": (PROVINCE_ADDRESS,),
        "cc": (CITY_ADDRESS,),
        "groups": (),
        "directory_version": 7,
        "title": "关于射阳县地震情况的报告",
        "body_digest": body_digest(salt, BODY),
        "attachments": (AttachmentRecord("map.txt", len(FILE), file_digest(salt, 0, FILE)),),
        "thread": None,
        "reply_to": None,
        "occurred_us": NOW_US - HOUR_US,
        "deadline_us": NOW_US + HOUR_US + 1,
        "classification": "none",
        "drill": False,
        "approvals": (),
        "original_digest": None,
    }
    return Content(**(fields | changes))  # type: ignore[arg-type]


def make_approval(content: Content | None = None, **changes: object) -> Approval:
    """The reviewer's approval of a content as it was written, a minute before the office took it, with changes."""
    content = content or make_content()
    fields: dict[str, object] = {
        "network": NETWORK,
        "office": COUNTY,
        "id": content.id,
        "role": "reviewer",
        "at_us": content.created_us - 60 * SECOND_US,
        "to": content.to,
        "cc": content.cc,
        "life_us": content.expires_us - content.created_us,
        "within_us": None,
        "subject": subject_digest(subject_of(content)),
    }
    return Approval(**(fields | changes))  # type: ignore[arg-type]


def make_signing_for(**changes: object) -> SigningFor:
    """The province's clerk signs for the report, with changes by field name."""
    fields: dict[str, object] = {
        "network": NETWORK, "office": PROVINCE, "id": MESSAGE, "digest": make_receipt().digest, "at_us": NOW_US,
    }  # fmt: skip
    return SigningFor(**(fields | changes))  # type: ignore[arg-type]


def make_header(content: Content | None = None, **changes: object) -> CopyHeader:
    """The clear header of a content's copy for the province, with changes by field name."""
    content = content or make_content()
    entitlement = entitlement_of(content.kind, content.event_level)
    fields: dict[str, object] = {
        "network": NETWORK,
        "suite": 1,
        "id": content.id,
        "sender": COUNTY,
        "recipient": PROVINCE,
        "lane": lane_for(content.urgency, bulk=content.bulk, entitlement=entitlement),
        "entitlement": entitlement,
        "created_us": content.created_us,
        "expires_us": content.expires_us,
        "deadline_us": round_deadline(content.deadline_us),
        "number": 1,
        "epoch": EPOCH,
        "prekey_id": PREKEY_IDS[1],
    }
    return CopyHeader(**(fields | changes))  # type: ignore[arg-type]


def make_bundle(record: bytes, **changes: object) -> Bundle:
    """The bundle around a signed content record."""
    fields: dict[str, object] = {
        "record": record,
        "salt": seed("salt"),
        "body": BODY,
        "files": (FILE,),
        "original": None,
    }
    return Bundle(**(fields | changes))  # type: ignore[arg-type]


def make_receipt(**changes: object) -> Receipt:
    """The province's delivered receipt for the report."""
    fields: dict[str, object] = {
        "network": NETWORK,
        "type": "delivered",
        "id": MESSAGE,
        "by": PROVINCE,
        "recipient": PROVINCE,
        "to": COUNTY,
        "digest": Digest(sha256(encode_content(make_content()))),
        "at_us": NOW_US + SECOND_US,
        "lane": Lane.FLASH,
        "expires_us": NOW_US + 48 * DAY_US,
    }
    return Receipt(**(fields | changes))  # type: ignore[arg-type]


def make_tombstone(**changes: object) -> Receipt:
    """The province says that it does not have the report and will never take it as new."""
    proof = encode_place(Place(Lane.FLASH, EPOCH, 7))
    return make_receipt(**{"type": "tombstone", "code": "EXPIRED", "proof": proof, **changes})


def make_frame(encoded_items: bytes, **changes: object) -> Frame:
    """A frame from the city to the province on the flash lane around encoded items."""
    fields: dict[str, object] = {
        "network": NETWORK,
        "sender": CITY,
        "receiver": PROVINCE,
        "lane": Lane.FLASH,
        "moment": MOMENT,
        "counter": 41,
        "at_us": NOW_US,
        "items_digest": items_digest(encoded_items),
        "custody": (),
        "nacks": (),
        "witness": None,
    }
    return Frame(**(fields | changes))  # type: ignore[arg-type]


def make_presence(**changes: object) -> Presence:
    """The city says that its fast connection is up."""
    fields: dict[str, object] = {
        "network": NETWORK,
        "office": CITY,
        "group": "fast",
        "online": True,
        "moment": MOMENT,
        "session": 3,
        "at_us": NOW_US,
        "trust_version": 7,
        "trust_digest": Digest(sha256(DIRECTORY.encode())),
        "audit_count": 56,
        "audit_head": Digest(seed("audit head")),
    }
    return Presence(**(fields | changes))  # type: ignore[arg-type]
