"""X.509 for the way to brokers, and for nothing else (D8): who may connect, publish and read is the broker's business.

Messages never depend on these keys. ECDSA P-256, since every broker and TLS library has it. A broker maps the
certificate to an office by its common name (mosquitto, RabbitMQ) or by its DNS name (NATS takes it in lower case).
"""

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol.ids import Address

LOOPBACK_NAMES = ("127.0.0.1", "localhost")

CLOCK_SLACK = timedelta(minutes=10)
"""Certificates begin this much earlier: clocks of offices drift."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and its private key, both PEM; the key is PKCS #8 without a passphrase."""

    certificate: bytes
    key: bytes = field(repr=False)


def dns_name(address: Address) -> str:
    """The name of an office in certificates and in NATS: `320924-go.office`."""
    return f"{address.lower()}.office"


class Authority:
    """The network's own certificate authority for broker connections. It signs leaves only."""

    __slots__ = ("_certificate", "_key", "credential")

    def __init__(self, credential: Credential) -> None:
        """Raises `ValueError` when the PEM text is not an EC key and its certificate."""
        self.credential = credential
        key = serialization.load_pem_private_key(credential.key, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the authority's key is not an EC key")  # noqa: TRY004  the text is wrong, not its type
        self._key = key
        self._certificate = x509.load_pem_x509_certificate(credential.certificate)

    def issue_server(self, names: tuple[str, ...], *, days: int) -> Credential:
        """A broker's certificate for these host names and IP addresses, valid `days` from now."""
        found = [_general_name(name) for name in names]
        return self._issue(names[0], found, ExtendedKeyUsageOID.SERVER_AUTH, days)

    def issue_client(self, address: Address, *, days: int) -> Credential:
        """An office's certificate, valid `days` from now: common name the address, DNS name for NATS."""
        names: list[x509.GeneralName] = [x509.DNSName(dns_name(address))]
        return self._issue(address, names, ExtendedKeyUsageOID.CLIENT_AUTH, days)

    def issue_spare(self, *, days: int) -> Credential:
        """A client certificate that no office owns: it may connect and nothing more."""
        return self._issue("spare", [x509.DNSName("spare.invalid")], ExtendedKeyUsageOID.CLIENT_AUTH, days)

    def _issue(
        self, common_name: str, names: list[x509.GeneralName], use: x509.ObjectIdentifier, days: int
    ) -> Credential:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _certificate(_name(common_name), self._certificate.subject, key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        return _credential(builder.sign(self._key, hashes.SHA256()), key)


def new_authority(network: str, *, days: int) -> Authority:
    """A new authority named after the network, valid `days` from now, path length 0."""
    key = ec.generate_private_key(ec.SECP256R1())
    # X.520 bounds a common name at 64 characters.
    name = _name(f"{network} broker CA"[:64])
    builder = (
        _certificate(name, name, key.public_key(), days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return Authority(_credential(builder.sign(key, hashes.SHA256()), key))


def expires_us(certificate: bytes) -> int:
    """When a PEM certificate ends, in microseconds since 1970; raises `ValueError`."""
    return int(x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()) * 1_000_000


def _certificate(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _credential(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Credential:
    return Credential(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
