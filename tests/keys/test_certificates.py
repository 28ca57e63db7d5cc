"""Certificates on record, and the list of those that ended early."""

import secrets
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from keys.ceremony.authorities import (
    authority_files,
    drop_authorities,
    found_authority,
    open_authority,
    replace_authority,
    trusted_authorities,
)
from keys.ceremony.certificates import (
    LIST_FILE,
    issued_certificates,
    keep_certificate,
    withdraw_certificates,
    write_revocation_list,
)
from keys.files.keyfile import LAB_COST
from keys.tls import Authority, new_authority, subject_of
from protocol.errors import Refused
from protocol.ids import Address
from tests.certificates import office_credential

COUNTY, PROVINCE = Address("320924-GO"), Address("320000-GO")
NOW_US = int(datetime.now(UTC).timestamp() * 1_000_000)
DAY_US = 86_400_000_000


def server_request(curve: ec.EllipticCurve | None = None) -> bytes:
    """A request as `openssl req -new` makes it, whatever name it asks for."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "320000-GO")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM)


@pytest.fixture
def authority() -> Authority:
    return new_authority("test", days=30)


def listed(root: Path, authority: Authority) -> set[int]:
    """The serial numbers on the list, whose signature is the authority's."""
    found = x509.load_pem_x509_crl((root / LIST_FILE).read_bytes())
    public = x509.load_pem_x509_certificate(authority.credential.certificate).public_key()
    assert found.is_signature_valid(public)  # type: ignore[arg-type]
    return {each.serial_number for each in found}


def test_the_list_holds_what_revoked_offices_have_and_what_was_withdrawn(tmp_path: Path, authority: Authority) -> None:
    issued = {
        name: office_credential(authority, Address(name), days=2).certificate
        for name in (COUNTY, PROVINCE, "320900-GO")
    }
    issued["county again"] = office_credential(authority, COUNTY, days=3).certificate
    for certificate in issued.values():
        keep_certificate(tmp_path, certificate)
        keep_certificate(tmp_path, certificate)
    serials = {name: subject_of(certificate).serial for name, certificate in issued.items()}
    assert {each.subject.serial for each in issued_certificates(tmp_path)} == set(serials.values())

    write_revocation_list(tmp_path, [authority], (), NOW_US)
    assert listed(tmp_path, authority) == set()
    write_revocation_list(tmp_path, [authority], {COUNTY}, NOW_US)
    assert listed(tmp_path, authority) == {serials[COUNTY], serials["county again"]}

    withdraw_certificates(tmp_path, f"{serials[PROVINCE]:x}")
    write_revocation_list(tmp_path, [authority], (), NOW_US)
    assert listed(tmp_path, authority) == {serials[PROVINCE]}
    with pytest.raises(Refused) as refused:
        withdraw_certificates(tmp_path, PROVINCE)
    assert refused.value.code == "NOT_FOUND"
    # What has run out needs no list.
    write_revocation_list(tmp_path, [authority], {COUNTY}, NOW_US + 5 * DAY_US)
    assert listed(tmp_path, authority) == set()


def test_a_list_is_as_long_valid_as_its_authority(authority: Authority) -> None:
    """OpenSSL lets nobody in by a list that has run out."""
    found = x509.load_pem_x509_crl(authority.revocation_list([7]))
    certificate = x509.load_pem_x509_certificate(authority.credential.certificate)
    assert found.next_update_utc == certificate.not_valid_after_utc
    assert [each.serial_number for each in found] == [7]


def test_a_server_s_key_may_stay_where_it_was_made(authority: Authority) -> None:
    request = server_request()
    made = authority.certify_server(request, ("mq.example", "10.0.0.1"), days=2)
    found = x509.load_pem_x509_certificate(made)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mq.example"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    assert found.public_key() == x509.load_pem_x509_csr(request).public_key()


def test_a_request_that_is_bent_or_of_another_curve_is_refused(authority: Authority) -> None:
    good = x509.load_pem_x509_csr(server_request())
    data = bytearray(good.public_bytes(Encoding.DER))
    data[-3] ^= 1
    bent = x509.load_der_x509_csr(bytes(data)).public_bytes(Encoding.PEM)
    for wrong in (bent, server_request(ec.SECP384R1()), b"", b"-----BEGIN CERTIFICATE REQUEST-----\n"):
        with pytest.raises(ValueError, match=r"."):
            authority.certify_server(wrong, ("mq.example",), days=2)


def test_a_new_authority_issues_and_the_old_one_is_trusted_until_it_is_dropped(tmp_path: Path) -> None:
    first = found_authority(tmp_path, "test", b"old", secrets.token_bytes, cost=LAB_COST)
    second = replace_authority(tmp_path, b"new", secrets.token_bytes, cost=LAB_COST)
    current, older = authority_files(tmp_path)
    assert open_authority(current, b"new").credential == second.credential
    assert open_authority(older, b"old").credential == first.credential
    assert trusted_authorities(tmp_path) == second.credential.certificate + first.credential.certificate

    certificate = office_credential(first, COUNTY, days=2).certificate
    keep_certificate(tmp_path, certificate)
    write_revocation_list(tmp_path, [second, first], {COUNTY}, NOW_US)
    found = [
        x509.load_pem_x509_crl(text + b"-----END X509 CRL-----\n")
        for text in (tmp_path / LIST_FILE).read_bytes().split(b"-----END X509 CRL-----\n")[:-1]
    ]
    assert [[each.serial_number for each in crl] for crl in found] == [[subject_of(certificate).serial]] * 2

    assert drop_authorities(tmp_path) == [older]
    assert trusted_authorities(tmp_path) == second.credential.certificate


def test_replacing_an_authority_that_is_cut_at_any_step_leaves_one_that_issues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = found_authority(tmp_path, "test", b"old", secrets.token_bytes, cost=LAB_COST)

    def cut(*_: object) -> None:
        raise OSError("cut")

    for name in ("fsync_directory", "seal_secret", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(f"keys.ceremony.authorities.{name}", cut if name != "seal_secret" else lambda *_, **__: cut())
            with pytest.raises(OSError, match="cut"):
                replace_authority(tmp_path, b"new", secrets.token_bytes, cost=LAB_COST)
        assert open_authority(authority_files(tmp_path)[0], b"old").credential == first.credential
        assert trusted_authorities(tmp_path) == first.credential.certificate
    second = replace_authority(tmp_path, b"new", secrets.token_bytes, cost=LAB_COST)
    assert trusted_authorities(tmp_path) == second.credential.certificate + first.credential.certificate
