"""`python -m benchmarks.suites [--json] [--seconds S]`: what each cipher suite costs, without store or network.

A message of 2 KiB of Chinese text. `seal`: the copy for one recipient with its outer signature. `open`: what a
recipient does with it, outer signature, unwrapping, unpacking, the content's signature and commitments. CPU time of
one thread; suite 3 needs the extra `gm`.
"""

import argparse
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from keys.gm import require_gm
from keys.primitives import SUITES, PrekeyPrivate, PrekeyPublic, algorithm_of, key_id, prekey_public
from keys.roster.directory import Directory, Rules
from keys.roster.office_record import OfficeKey
from keys.seal import KEY_BYTES, NONCE_BYTES, seal_copy
from keys.signing import CONTENT, RECEIPT, UnverifiedRecord, sign_record
from keys.signing_key import PrivateKey, make_private_key
from keys.verify import open_copy, verify_copy
from protocol.content import body_digest, encode_bundle, encode_content
from protocol.limits import TIME_MAX_US
from protocol.padding import pack
from protocol.receipt import encode_receipt
from tests import world

NAMES: Final = {1: "1 X-Wing, AES-256-GCM, Ed25519", 2: "2 X25519, AES-256-GCM, Ed25519", 3: "3 SM2, SM4-GCM"}
BODY: Final = world.BODY * 25


def rate(work: Callable[[], Any], seconds: float) -> float:
    """Runs of `work` in a second of CPU time."""
    work()
    began, count = time.process_time(), 0
    while (spent := time.process_time() - began) < seconds:
        work()
        count += 1
    return count / spent


def directory_of(suite: int, county: PrivateKey, province: PrivateKey) -> Directory:
    """The network of tests/world.py with these keys and this suite."""
    offices = dict(world.DIRECTORY.offices)
    for office, key in ((world.COUNTY, county), (world.PROVINCE, province)):
        made = OfficeKey.of(key.public(), 0, TIME_MAX_US)
        offices[office] = replace(offices[office], keys=(made,), persons=())
    return replace(world.DIRECTORY, offices=offices, rules=Rules(suites=(suite,)))


def measure(suite: int, seconds: float) -> dict[str, float]:
    """Operations in a second, and bytes."""
    county, province = (make_private_key(algorithm_of(suite), world.seed(name)) for name in ("county", "province"))
    directory = directory_of(suite, county, province)
    public = prekey_public(suite, world.PREKEY_SEED)
    loaded, private = PrekeyPublic(suite, public), PrekeyPrivate(suite, world.PREKEY_SEED)
    content = world.make_content(body_digest=body_digest(world.seed("salt"), BODY))
    bundle = encode_bundle(world.make_bundle(sign_record(county, CONTENT, encode_content(content)), body=BODY))
    packed = pack(bundle)
    header = world.make_header(content, suite=suite, prekey_id=key_id(suite, public))
    receipt = encode_receipt(world.make_receipt())
    record = sign_record(province, RECEIPT, receipt)

    def seal() -> bytes:
        return seal_copy(county, header, packed, loaded, secrets.token_bytes(KEY_BYTES + NONCE_BYTES))

    copy = seal()

    def open_it() -> None:
        verified = verify_copy(copy, directory, (suite,), world.NOW_US)
        open_copy(verified, world.PROVINCE, (world.PROVINCE_ADDRESS,), private, directory)

    return {
        "sign": rate(lambda: sign_record(province, RECEIPT, receipt), seconds),
        "verify": rate(lambda: UnverifiedRecord(record, max_bytes=2_000).verify(RECEIPT, province.public()), seconds),
        "seal": rate(seal, seconds),
        "open": rate(open_it, seconds),
        "bytes": float(len(copy) - len(packed)),
    }


def results(seconds: float) -> Iterator[tuple[int, dict[str, float]]]:
    """Every suite in turn. Raises `Refused` SUITE_MISSING."""
    require_gm()
    for suite in SUITES:
        yield suite, measure(suite, seconds)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suites")
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU seconds for each figure")
    options = parser.parse_args()
    table = Table(title=f"Cipher suites, {len(BODY.encode())} bytes of text: operations in a CPU second")
    for column in ("suite", "sign", "verify", "seal", "open", "bytes more"):
        table.add_column(column, justify="left" if column == "suite" else "right")
    for suite, found in results(options.seconds):
        if options.json:
            print(json.dumps({"v": 1, "suite": suite, **{name: round(value) for name, value in found.items()}}))
        table.add_row(NAMES[suite], *(f"{value:,.0f}" for value in found.values()))
    if not options.json:
        Console().print(table)


if __name__ == "__main__":
    main()
