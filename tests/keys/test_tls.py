"""Certificates for brokers, judged by a real handshake and by an independent reader."""

import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keys.tls import LOOPBACK_NAMES, Authority, Credential, dns_name, expires_us, new_authority
from protocol.ids import Address
from tests.certificates import office_credential

OFFICE = Address("320924-GO")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return new_authority("lab", days=30)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> ssl.SSLObject:
    """Both sides over memory; the client's view of the server, after both accepted. Raises `ssl.SSLError`."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname=name)
    two = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (one, two):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    one.write(b"x")
    assert two.read(1) == b"x", "TLS 1.3 judges the client's certificate after its handshake"
    return one


def context(folder: Path, kind: int, authority: Authority, own: Credential) -> ssl.SSLContext:
    made = ssl.SSLContext(kind)
    made.verify_mode = ssl.CERT_REQUIRED
    (folder / "pem").write_bytes(own.certificate + own.key)
    made.load_cert_chain(folder / "pem")
    made.load_verify_locations(cadata=authority.credential.certificate.decode())
    return made


@pytest.mark.parametrize("name", LOOPBACK_NAMES)
def test_both_sides_accept_each_other(tmp_path: Path, authority: Authority, name: str) -> None:
    server = context(tmp_path, ssl.PROTOCOL_TLS_SERVER, authority, authority.issue_server(LOOPBACK_NAMES, days=9))
    client = context(tmp_path, ssl.PROTOCOL_TLS_CLIENT, authority, office_credential(authority, OFFICE, days=9))
    assert handshake(server, client, name).version() == "TLSv1.3"


def test_a_broker_under_another_name_is_refused(tmp_path: Path, authority: Authority) -> None:
    server = context(tmp_path, ssl.PROTOCOL_TLS_SERVER, authority, authority.issue_server(("10.1.1.1",), days=9))
    client = context(tmp_path, ssl.PROTOCOL_TLS_CLIENT, authority, office_credential(authority, OFFICE, days=9))
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(server, client, "127.0.0.1")


@pytest.mark.parametrize("swapped", ["server", "client"])
def test_a_certificate_serves_one_purpose(tmp_path: Path, authority: Authority, swapped: str) -> None:
    """An office's certificate makes no broker, and a broker's no office."""
    as_server, as_client = authority.issue_server(LOOPBACK_NAMES, days=9), office_credential(authority, OFFICE, days=9)
    if swapped == "client":
        as_client = as_server
    else:
        as_server = as_client
    server = context(tmp_path, ssl.PROTOCOL_TLS_SERVER, authority, as_server)
    client = context(tmp_path, ssl.PROTOCOL_TLS_CLIENT, authority, as_client)
    client.check_hostname = False
    with pytest.raises(ssl.SSLError, match=r"purpose|unsupported certificate"):
        handshake(server, client, "127.0.0.1")


def test_another_authority_is_refused(tmp_path: Path, authority: Authority) -> None:
    stranger = new_authority("lab", days=30)
    server = context(tmp_path, ssl.PROTOCOL_TLS_SERVER, stranger, stranger.issue_server(LOOPBACK_NAMES, days=9))
    client = context(tmp_path, ssl.PROTOCOL_TLS_CLIENT, authority, office_credential(authority, OFFICE, days=9))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client, "127.0.0.1")


def test_names_by_which_brokers_know_an_office(authority: Authority) -> None:
    found = x509.load_pem_x509_certificate(office_credential(authority, OFFICE, days=9).certificate)
    assert found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == OFFICE
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [dns_name(OFFICE)] == ["320924-go.office"]
    assert list(found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]


def test_validity_is_what_was_asked_for(authority: Authority) -> None:
    short = expires_us(office_credential(authority, OFFICE, days=1).certificate)
    long = expires_us(office_credential(authority, OFFICE, days=11).certificate)
    assert abs(long - short - 10 * 86_400 * 1_000_000) < 60 * 1_000_000


def test_no_key_shows_in_a_repr(authority: Authority) -> None:
    made = authority.issue_spare(days=1)
    assert "PRIVATE" not in repr(made)
    assert b"PRIVATE KEY" in made.key


def test_an_authority_is_read_again(authority: Authority) -> None:
    again = Authority(authority.credential)
    assert office_credential(again, OFFICE, days=1).certificate.startswith(b"-----BEGIN CERTIFICATE-----")
    with pytest.raises(ValueError, match=r"PEM|deserialize|key"):
        Authority(Credential(authority.credential.certificate, b"nonsense"))
