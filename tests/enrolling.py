"""An office that wants to be taken in: Jianhu county, its keys and its request, from fixed seeds."""

from typing import Final

from keys import tls
from keys.enrol.enrolment import EnrolmentRequest, Wish, make_request
from keys.enrol.response import BrokerPlace, EnrolmentResponse
from keys.mldsa import SecondKey
from keys.primitives import SigningKey
from protocol.ids import Address, OfficeId
from tests.world import CITY_ADDRESS, NOW_US, seed

ADDRESS: Final = Address("320925-GO")
ID: Final = OfficeId(seed("jianhu id")[:16])
IDENTITY: Final = SigningKey.from_seed(seed("jianhu"))
SECOND: Final = SecondKey.from_seed(seed("jianhu, second"))
NONCE: Final = seed("jianhu nonce")[:16]
ROOT: Final = seed("root")
TLS_KEY: Final = b"""-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgNZTPyRIwxVGitW3N
CERIeBFxW+oXOWvZg8n9hw/UizOhRANCAASkt8FXEte5LiaV4YWUgCu71vEYJ0Y+
PZo78+RpWPwj8R2UdUzePcG4ja41kRZeP6oKxr6iEScgAyxl4HJsGmP1
-----END PRIVATE KEY-----
"""
"""A key that this file gives away."""

OTHER_TLS_KEY: Final = b"""-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgFKHCS0fDVc3/h0TE
sDQyjhKlqPK/FXExyScrn+QEpjqhRANCAAR+s5grC3htMHS+x31z7cawHdf5clFs
Qz7Bu9kLFE04YTX8DAeTN60C3BuX1CAkKSD2ot46hDq00x5G+4DOSFf3
-----END PRIVATE KEY-----
"""


def wanted(**changes: object) -> EnrolmentRequest:
    """What Jianhu's request says, with changes by field name; not signed."""
    fields: dict[str, object] = {
        "kind": "enrol",
        "network": "lab",
        "root": ROOT,
        "office_id": ID,
        "address": ADDRESS,
        "wish": Wish("建湖县人民政府办公室", "county", CITY_ADDRESS, "liaison", ("yancheng",)),
        "suite": 0,
        "identity": IDENTITY.public(),
        "second": SECOND.public(),
        "tls_request": tls.make_request(TLS_KEY, ADDRESS, NONCE),
        "nonce": NONCE,
        "created_us": NOW_US,
        "expires_us": NOW_US + 30 * 86_400_000_000,
    }
    return EnrolmentRequest(**(fields | changes))  # type: ignore[arg-type]


def request_of(number: int, **changes: object) -> EnrolmentRequest:
    """The signed request of a township, one for each number."""
    identity = SigningKey.from_seed(seed(f"township {number}"))
    second = SecondKey.from_seed(seed(f"township {number}, second"))
    address = Address(f"{320_925_100 + number}-GO")
    nonce = seed(f"township {number}, nonce")[:16]
    own: dict[str, object] = {
        "office_id": OfficeId(seed(f"township {number}, id")[:16]),
        "address": address,
        "wish": Wish(f"第{number}镇人民政府", "township", CITY_ADDRESS),
        "identity": identity.public(),
        "second": second.public(),
        "tls_request": tls.make_request(TLS_KEY, address, nonce),
        "nonce": nonce,
    }
    return make_request(wanted(**(own | changes)), identity, second)


def request(**changes: object) -> EnrolmentRequest:
    """Jianhu's signed request."""
    return make_request(wanted(**changes), IDENTITY, SECOND)


def answer(**changes: object) -> EnrolmentResponse:
    """What the network answers to Jianhu, with changes by field name."""
    fields: dict[str, object] = {
        "request": seed("a request"),
        "network": "lab",
        "address": ADDRESS,
        "office_id": ID,
        "issued_us": NOW_US,
        "files": {"1.root.json": b"{}", "timestamp.json": b"{}"},
        "certificate": b"certificate",
        "authority": b"authority",
        "brokers": (BrokerPlace("yancheng", "mosquitto", "10.0.0.9", 8883, True),),
    }
    return EnrolmentResponse(**(fields | changes))  # type: ignore[arg-type]


def refusal() -> EnrolmentResponse:
    """The answer to a request that is not taken."""
    return answer(certificate=None, authority=None, brokers=(), reason="指纹与电话核对不符")
