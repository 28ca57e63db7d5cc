"""Who plays: the offices of the demo, how they stand to each other, and the plan that a lab is made from."""

from dataclasses import dataclass
from typing import Any, Final

from relay.lab.toml_text import toml_text

PROVINCE: Final = "320000-GO"
CITY: Final = "320900-GO"
LIAISON: Final = "320924-GO"
SCREENED: Final = "320923-GO"
OFFICES: Final = (PROVINCE, CITY, LIAISON, SCREENED)

PROVINCE_BROKER: Final = "province"
CITY_BROKER: Final = "yancheng"

CLERK: Final = "周文书"
"""A person of the province's office whom the directory names as a clerk."""

REVIEWER: Final = "吴科长"
ISSUER: Final = "郑主任"
"""Persons of the reporting county: who reviews a report (审核) and who issues it (签发)."""

SUITE_NAMES: Final = {
    1: "X-Wing (ML-KEM-768 + X25519), AES-256-GCM, Ed25519",
    2: "X25519, AES-256-GCM, Ed25519",
    3: "SM2, SM3, SM4-GCM",
}
DEFAULT_SUITE: Final = 1


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the two brokers listen on 127.0.0.1."""

    province: int
    city: int


def plan_text(ports: Ports, suite: int | None) -> str:
    """The plan of the demo's network; with `suite` the network allows that one only."""
    plan: dict[str, Any] = {
        "network": "demo",
        "brokers": [
            {"id": PROVINCE_BROKER, "engine": "nats", "port": ports.province},
            {"id": CITY_BROKER, "engine": "nats", "port": ports.city},
        ],
        "offices": [
            _office(PROVINCE, "江苏省人民政府办公厅", "province", PROVINCE_BROKER),
            _office(CITY, "盐城市人民政府办公室", "city", PROVINCE_BROKER, CITY_BROKER, parent=PROVINCE),
            _office(LIAISON, "射阳县人民政府办公室", "county", CITY_BROKER, parent=CITY, standing="liaison"),
            _office(SCREENED, "阜宁县人民政府办公室", "county", CITY_BROKER, parent=CITY, standing="screened"),
        ],
        "persons": [
            {"name": CLERK, "office": PROVINCE, "roles": ["clerk"]},
            {"name": REVIEWER, "office": LIAISON, "roles": ["reviewer"]},
            {"name": ISSUER, "office": LIAISON, "roles": ["issuer"]},
        ],
        # A broker that comes back is found at once: the reader of a demo should not wait for a pause to end.
        "settings": {"links": {"retry_min_s": 0.1, "retry_max_s": 0.5}},
    }
    if suite is not None:
        plan["rules"] = {"suites": [suite]}
    return toml_text(plan)


def _office(address: str, name: str, office_class: str, *brokers: str, **more: str) -> dict[str, Any]:
    return {"address": address, "name": name, "class": office_class, "brokers": list(brokers), **more}
