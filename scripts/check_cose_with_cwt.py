"""Development: are our COSE layers what another library makes of RFC 9052 and draft-ietf-cose-hpke?

    python -m venv /somewhere && /somewhere/bin/pip install cwt==3.3.0
    PYTHONPATH=. python scripts/check_cose_with_cwt.py /somewhere/bin/python

cwt needs cbor2 below 6 and we need 6, so it runs in an environment of its own: this file is both halves, and they
talk in JSON. Every line printed is one check; the exit status is 1 if any failed. tests/interop/cwt-3.3.md has the
recorded result.
"""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

TAG_SIGN1 = b"\xd2"
TAG_ENCRYPT = b"\xd8\x60"
PAYLOAD = "射阳县地震报告".encode()


def cwt_half(case: dict[str, str]) -> dict[str, Any]:
    """Runs where cwt is: reads what we made, makes the same itself."""
    import cwt
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    given = {name: bytes.fromhex(value) for name, value in case.items()}
    signer, prekey = (
        kind.from_private_bytes(given[name])
        for kind, name in ((Ed25519PrivateKey, "signing_seed"), (X25519PrivateKey, "prekey_seed"))
    )

    def key_pair(key: Any, alg: int, curve: int, kid: bytes) -> tuple[Any, Any]:
        """The private and the public COSE key (RFC 9053 section 7.2: 1 kty, 2 kid, 3 alg, -1 crv, -2 x, -4 d)."""
        public = {1: 1, 2: kid, 3: alg, -1: curve, -2: key.public_key().public_bytes_raw()}
        return cwt.COSEKey.new(public | {-4: key.private_bytes_raw()}), cwt.COSEKey.new(public)

    cose = cwt.COSE.new()
    answer: dict[str, Any] = {"version": cwt.__version__}

    def attempt(name: str, work: Any) -> None:
        try:
            answer[name] = work().hex()
        except Exception as error:  # noqa: BLE001 - whatever cwt raises is its answer
            answer[name] = f"{type(error).__name__}: {error}"

    for number in (-19, -8):
        private, public = key_pair(signer, number, 6, given["signing_kid"])
        protected = {1: number, 4: given["signing_kid"]}
        attempt(
            f"sign1 {number} by cwt",
            partial(cose.encode_and_sign, PAYLOAD, private, protected, external_aad=given["purpose"]),
        )
        if number == -19:
            verify = partial(cose.decode, TAG_SIGN1 + given["record"], public)
            attempt("sign1 by us", partial(verify, external_aad=given["purpose"]))
            attempt("sign1 by us, other purpose", partial(verify, external_aad=b"relay/1/frame"))

    private, public = key_pair(prekey, 50, 4, given["prekey_kid"])
    ciphertext = TAG_ENCRYPT + given["ciphertext"]
    context = {"external_aad": given["header"], "extra_info": given["extra"]}
    attempt("encrypt by us", lambda: cose.decode(ciphertext, private, **context))
    attempt(
        "encrypt by us, other header", lambda: cose.decode(ciphertext, private, **(context | {"external_aad": b""}))
    )
    attempt("encrypt by us, other extra", lambda: cose.decode(ciphertext, private, **(context | {"extra_info": b""})))

    def encrypt() -> bytes:
        recipient = cwt.Recipient.new(
            protected={1: 50, 4: given["prekey_kid"]}, recipient_key=public, extra_info=given["extra"]
        )
        body_key = cwt.COSEKey.generate_symmetric_key(alg="A256GCM")
        return cose.encode_and_encrypt(
            given["packed"],
            body_key,
            protected={1: 3},
            unprotected={5: bytes(range(12))},
            recipients=[recipient],
            external_aad=given["header"],
        )

    attempt("encrypt by cwt", encrypt)
    return answer


def our_half(python: str) -> int:
    """Runs where our code is; 0 if all agree."""
    from keys.primitives import sha256
    from keys.seal import open_ciphertext, seal_copy
    from keys.signing import RECEIPT, open_record, sign_record
    from protocol import cbor
    from protocol.copy import encode_header, split_copy
    from protocol.errors import RemoteError
    from protocol.padding import pack
    from tests import world

    header = world.make_header(suite=2, prekey_id=world.PREKEY_IDS[2])
    header_bytes = encode_header(header)
    packed = pack(PAYLOAD)
    entropy = world.seed("content key") + bytes(12)
    _, ciphertext = split_copy(seal_copy(world.COUNTY_KEY, header, packed, world.PREKEY_PUBLICS[2], entropy))
    case = {
        "signing_seed": world.COUNTY_KEY.seed(),
        "signing_kid": world.COUNTY_KEY.key_id(),
        "purpose": RECEIPT.encode(),
        "record": sign_record(world.COUNTY_KEY, RECEIPT, PAYLOAD),
        "prekey_seed": world.PREKEY_SEED,
        "prekey_kid": world.PREKEY_IDS[2],
        "header": header_bytes,
        "extra": cbor.dumps([2, sha256(header_bytes)]),
        "packed": packed,
        "ciphertext": ciphertext,
    }
    ran = subprocess.run(
        [python, str(Path(__file__).resolve()), "--cwt"],
        input=json.dumps({name: value.hex() for name, value in case.items()}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer = json.loads(ran.stdout)

    def ours(name: str, read: Any) -> Any:
        try:
            return read(bytes.fromhex(answer[name]))
        except (RemoteError, ValueError) as error:
            return f"{error}"

    def record(data: bytes) -> bytes:
        return open_record(data.removeprefix(TAG_SIGN1), RECEIPT, lambda _: world.COUNTY_KEY.public(), max_bytes=2_000)

    def opened(data: bytes) -> bytes:
        return open_ciphertext(data.removeprefix(TAG_ENCRYPT), header, header_bytes, world.PREKEYS[2])

    checks = [
        ("Sign1 of ours, alg -19, verified by cwt", answer["sign1 by us"] == PAYLOAD.hex()),
        ("... refused by cwt for another purpose", answer["sign1 by us, other purpose"].startswith("VerifyError")),
        ("Sign1 of cwt, alg -19, verified by us", ours("sign1 -19 by cwt", record) == PAYLOAD),
        ("... the same bytes as ours", answer["sign1 -19 by cwt"] == (TAG_SIGN1 + case["record"]).hex()),
        ("Sign1 of cwt, alg -8, refused by us", str(ours("sign1 -8 by cwt", record)).startswith("MALFORMED")),
        ("COSE_Encrypt of ours, HPKE-4-KE, opened by cwt", answer["encrypt by us"] == packed.hex()),
        ("... refused by cwt under another header", "Error" in answer["encrypt by us, other header"]),
        ("... refused by cwt with other extra info", "Error" in answer["encrypt by us, other extra"]),
        ("COSE_Encrypt of cwt, HPKE-4-KE, opened by us", ours("encrypt by cwt", opened) == packed),
    ]
    lines = [f"cwt {answer['version']}"]
    for name, passed in checks:
        lines.append(f"{'pass' if passed else 'FAIL'}  {name}")
    if not all(passed for _, passed in checks):
        lines.append(json.dumps(answer, indent=1))
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if all(passed for _, passed in checks) else 1


if __name__ == "__main__":
    if sys.argv[1:] == ["--cwt"]:
        sys.stdout.write(json.dumps(cwt_half(json.load(sys.stdin))))
    elif len(sys.argv) == 2:
        sys.exit(our_half(sys.argv[1]))
    else:
        sys.exit(__doc__)
