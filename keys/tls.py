"""X.509 for the way to brokers, and for nothing else (D8): who may connect, publish and read is the broker's business.

Messages never depend on these keys. ECDSA P-256, since every broker and TLS library has it. A broker maps the
certificate to an office by its common name (mosquitto, RabbitMQ) or by its DNS name (NATS takes it in lower case).
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID, NameOID

from protocol.ids import Address

LOOPBACK_NAMES = ("127.0.0.1", "localhost")

CLOCK_SLACK = timedelta(minutes=10)
"""Certificates begin this much earlier: clocks of offices drift."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and its private key, both PEM; the key is PKCS #8 without a passphrase."""

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """What a PKCS #10 request asks for. Made only by `read_request`: whoever made it holds the private key.

    `public` is the SubjectPublicKeyInfo in DER; `nonce` says which enrolment request it belongs to.
    """

    address: str
    nonce: bytes
    public: bytes


def new_key() -> bytes:
    """A new ECDSA P-256 private key, PEM, PKCS #8 without a passphrase."""
    return _pem(ec.generate_private_key(ec.SECP256R1()))


def public_of(key: bytes) -> bytes:
    """The SubjectPublicKeyInfo (DER) of a PEM key."""
    return _spki(_private(key).public_key())


def make_request(key: bytes, address: Address, nonce: bytes) -> bytes:
    """The PKCS #10 request (DER) of this PEM key for an office.

    The nonce stands in the challenge password, which ties this proof of possession to one enrolment request, as
    RFC 7030 section 3.5 ties it to one TLS session: a request copied out of another one is of no use.
    """
    private = _private(key)
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(address))
    builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, nonce.hex().encode())
    made = builder.sign(private, hashes.SHA256(), ecdsa_deterministic=True)
    return made.public_bytes(serialization.Encoding.DER)


def read_request(data: bytes) -> CertificateRequest:
    """What a DER request asks for, its signature verified; raises `ValueError` for any other form."""
    try:
        request = x509.load_der_x509_csr(data)
        public = request.public_key()
        names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
            raise ValueError("not a key on P-256")  # noqa: TRY004  the bytes are wrong, not their type
        public.verify(request.signature, request.tbs_certrequest_bytes, ec.ECDSA(hashes.SHA256()))
        nonce = request.attributes.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD).value
        common_name = names[0].value
        found = CertificateRequest(str(common_name), bytes.fromhex(nonce.decode()), _spki(public))
    except (InvalidSignature, x509.AttributeNotFound, IndexError, TypeError) as error:
        raise ValueError(f"not a certificate request of ours: {type(error).__name__}") from error
    return found


def dns_name(address: Address) -> str:
    """The name of an office in certificates and in NATS: `320924-go.office`."""
    return f"{address.lower()}.office"


class Authority:
    """The network's own certificate authority for broker connections. It signs leaves only."""

    __slots__ = ("_certificate", "_key", "credential")

    def __init__(self, credential: Credential) -> None:
        """Raises `ValueError` when the PEM text is not an EC key and its certificate."""
        self.credential = credential
        self._key = _private(credential.key)
        self._certificate = x509.load_pem_x509_certificate(credential.certificate)

    def issue_server(self, names: tuple[str, ...], *, days: int) -> Credential:
        """A broker's certificate for these host names and IP addresses, valid `days` from now."""
        found = [_general_name(name) for name in names]
        return self._issue(names[0], found, ExtendedKeyUsageOID.SERVER_AUTH, days)

    def certify_server(self, request: bytes, names: tuple[str, ...], *, days: int) -> bytes:
        """A broker's certificate (PEM) for the key of a PEM request; the request's own wishes are not looked at.

        Raises `ValueError` for something that is no request, signed by its own EC key on P-256.
        """
        asked = x509.load_pem_x509_csr(request)
        public = asked.public_key()
        if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
            raise ValueError("the key is not on the curve P-256")  # noqa: TRY004  the request is wrong, not its type
        if not asked.is_signature_valid:
            raise ValueError("the request is not signed by its own key")
        found = [_general_name(name) for name in names]
        return _text(self._sign(public, names[0], found, ExtendedKeyUsageOID.SERVER_AUTH, days))

    def revocation_list(self, serials: Iterable[int]) -> bytes:
        """The list (PEM, RFC 5280 section 5) of these certificates as no longer valid, from now on.

        It is valid as long as the authority: a broker whose list has run out would let nobody in at all.
        """
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(now)
            .next_update(self._certificate.not_valid_after_utc)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.CRLNumber(int(now.timestamp() * 1_000_000)), critical=False)
        )
        for serial in sorted(set(serials)):
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue_spare(self, *, days: int) -> Credential:
        """A client certificate that no office owns: it may connect and nothing more."""
        return self._issue("spare", [x509.DNSName("spare.invalid")], ExtendedKeyUsageOID.CLIENT_AUTH, days)

    def certify(self, public: bytes, address: Address, *, days: int) -> bytes:
        """The PEM certificate of an office for a key that it made itself (SubjectPublicKeyInfo, DER)."""
        key = serialization.load_der_public_key(public)
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise ValueError("a TLS key is an EC key")  # noqa: TRY004  the bytes are wrong, not their type
        names: list[x509.GeneralName] = [x509.DNSName(dns_name(address))]
        made = self._sign(key, address, names, ExtendedKeyUsageOID.CLIENT_AUTH, days)
        return _text(made)

    def _issue(
        self, common_name: str, names: list[x509.GeneralName], use: x509.ObjectIdentifier, days: int
    ) -> Credential:
        key = ec.generate_private_key(ec.SECP256R1())
        return _credential(self._sign(key.public_key(), common_name, names, use, days), key)

    def _sign(
        self,
        key: ec.EllipticCurvePublicKey,
        common_name: str,
        names: list[x509.GeneralName],
        use: x509.ObjectIdentifier,
        days: int,
    ) -> x509.Certificate:
        # X.520 bounds a common name at 64 characters; host names are longer at times.
        builder = (
            _certificate(_name(common_name[:64]), self._certificate.subject, key, days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256())


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


def fits(certificate: bytes, key: bytes, authority: bytes) -> bool:
    """Whether a PEM certificate is for this PEM key and was issued by that authority."""
    try:
        leaf, issuer = (x509.load_pem_x509_certificate(data) for data in (certificate, authority))
        private = _private(key)
        leaf.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return leaf.public_key() == private.public_key()


def begins_us(certificate: bytes) -> int:
    """Since when a PEM certificate is valid, in microseconds since 1970; raises `ValueError`."""
    return int(x509.load_pem_x509_certificate(certificate).not_valid_before_utc.timestamp()) * 1_000_000


def expires_us(certificate: bytes) -> int:
    """When a PEM certificate ends, in microseconds since 1970; raises `ValueError`."""
    return int(x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()) * 1_000_000


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate is for: the common name, the serial number, and its end in microseconds since 1970."""

    name: str
    serial: int
    expires_us: int


def subject_of(certificate: bytes) -> Subject:
    """What a PEM certificate says of its subject; raises `ValueError`."""
    found = x509.load_pem_x509_certificate(certificate)
    (name,) = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Subject(str(name.value), found.serial_number, int(found.not_valid_after_utc.timestamp()) * 1_000_000)


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
    return Credential(_text(certificate), _pem(key))


def _text(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: bytes) -> ec.EllipticCurvePrivateKey:
    """The key of a PEM text; raises `ValueError`."""
    private = serialization.load_pem_private_key(key, password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ValueError("a TLS key is an EC key")  # noqa: TRY004  the text is wrong, not its type
    return private


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _spki(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
