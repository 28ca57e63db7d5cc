"""Development: are our SM2 keys, signatures and wraps what OpenSSL makes of the standards?

    PYTHONPATH=. python scripts/check_sm2_with_openssl.py [path of openssl]

Every line printed is one check; the exit status is 1 if any failed. tests/interop/sm2-openssl-3.0.md has the recorded
result. SM4-GCM is not in OpenSSL 3.0's command line; RFC 8998's vector holds it (tests/keys/test_sm2.py).
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from keys.gm import SIGNER_ID, Sm2Key, Sm2Private, Sm2Public, sm2_secret, sm3, verify_sm2
from keys.sm2_forms import ciphertext_from_der, ciphertext_to_der, signature_from_der, signature_to_der
from tests import sm2

SEED = bytes(range(32))
DATA = "射阳县地震报告".encode()
STANDARD_ID = "1234567812345678"
_EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
_SM2_CURVE = bytes.fromhex("06082a811ccf5501822d")


def tagged(tag: int, content: bytes) -> bytes:
    """Tag, length, content of DER, for lengths below 256."""
    length = bytes((len(content),)) if len(content) < 0x80 else bytes((0x81, len(content)))
    return bytes((tag,)) + length + content


def private_der(secret: bytes, public: bytes) -> bytes:
    """PKCS #8 of an SM2 key."""
    key = tagged(0x30, b"\x02\x01\x01" + tagged(4, secret) + tagged(0xA1, tagged(3, b"\0" + public)))
    return tagged(0x30, b"\x02\x01\0" + tagged(0x30, _EC_PUBLIC_KEY + _SM2_CURVE) + tagged(4, key))


class OpenSsl:
    """The command line of OpenSSL over files in one folder."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder

    def run(self, *words: str, **files: bytes) -> bytes | None:
        """What the command prints, or None when it fails; each of `files` is written, and named by @name."""
        for name, data in files.items():
            (self._folder / name).write_bytes(data)
        named = [str(self._folder / word[1:]) if word.startswith("@") else word for word in words]
        done = subprocess.run([self._program, *named], capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else None

    def verifies(self, signature: bytes, identifier: str) -> bool:
        """Whether OpenSSL takes the DER signature over DATA under this identifier."""
        found = self.run(
            *("pkeyutl", "-verify", "-rawin", "-digest", "sm3", "-inkey", "@key", "-keyform", "DER"),
            *("-in", "@data", "-sigfile", "@signature", "-pkeyopt", f"distid:{identifier}"),
            data=DATA, signature=signature,
        )  # fmt: skip
        return found is not None

    def opens(self, raw: bytes) -> bytes | None:
        """What OpenSSL decrypts from C1 || C3 || C2."""
        der = ciphertext_to_der(raw) or b""
        return self.run("pkeyutl", "-decrypt", "-inkey", "@key", "-keyform", "DER", "-in", "@sealed", sealed=der)


def checks(openssl: OpenSsl) -> dict[str, bool]:
    """Each check, by what it shows."""
    key, private = Sm2Key.from_seed(SEED), Sm2Private(SEED)
    secret = sm2_secret(SEED).to_bytes(32, "big")
    ours = SIGNER_ID.decode()
    public_der = openssl.run("pkey", "-inform", "DER", "-in", "@key", "-pubout", "-outform", "DER",
                             key=private_der(secret, key.public()))  # fmt: skip
    signature = signature_to_der(key.sign(DATA)) or b""
    signed = openssl.run(
        *("pkeyutl", "-sign", "-rawin", "-digest", "sm3", "-inkey", "@key", "-keyform", "DER", "-in", "@data"),
        *("-pkeyopt", f"distid:{ours}"), data=DATA,
    )  # fmt: skip
    plain = bytes(range(32))
    wrapped = sm2.encrypt(key.public(), plain, 7)
    encapsulated, _ = Sm2Public(key.public()).wrap(bytes(16), b"info")
    opened = [openssl.opens(raw) for raw in (wrapped, encapsulated)]
    sealed = openssl.run("pkeyutl", "-encrypt", "-inkey", "@key", "-keyform", "DER", "-in", "@plain", plain=plain)
    hashed = openssl.run("dgst", "-sm3", "-binary", "@data", data=DATA)
    return {
        "the public key of our seed": public_der is not None and public_der.endswith(key.public()),
        f"our signature, under {ours!r}": openssl.verifies(signature, ours),
        "... refused under the default identifier": not openssl.verifies(signature, STANDARD_ID),
        "OpenSSL's signature, by us": verify_sm2(key.public(), signature_from_der(signed or b""), DATA),
        "our ciphertext, opened by OpenSSL": opened[0] == plain,
        "GmSSL's ciphertext, opened by OpenSSL": opened[1] == sm2.decrypt(sm2_secret(SEED), encapsulated),
        "OpenSSL's ciphertext, opened by us": sm2.decrypt(sm2_secret(SEED), ciphertext_from_der(sealed or b""))
        == plain,
        "... and by GmSSL": private.open_secret(ciphertext_from_der(sealed or b"")) == plain,
        "SM3": hashed == sm3(DATA),
    }


def main() -> int:
    """Run and print."""
    program = sys.argv[1] if len(sys.argv) > 1 else "openssl"
    version = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout.strip()
    sys.stdout.write(f"{version}\n")
    with tempfile.TemporaryDirectory() as folder:
        found = checks(OpenSsl(program, Path(folder)))
    for name, passed in found.items():
        sys.stdout.write(f"{'pass' if passed else 'FAIL'}  {name}\n")
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
