"""Certificates of the device and of authorities, and whether HTTPS clients have to show one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

from manycast.onvif.device.arguments import invalid
from manycast.onvif.device.part import DevicePart
from manycast.onvif.security.access import Access
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.service import NOTHING, Caller, Reply, operation
from manycast.onvif.state.certificates import Certificate, KeyPair
from manycast.onvif.state.limits import MAX_CERTIFICATES

MAX_ID_CHARS = 64
DEFAULT_LIFETIME = timedelta(days=3650)

_ATTRIBUTES = {
    "CN": NameOID.COMMON_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "C": NameOID.COUNTRY_NAME,
}


class Certificates(DevicePart):
    @operation(Access.WRITE_SYSTEM)
    async def create_certificate(self, request: Any, caller: Caller) -> Reply:
        """A self-signed one, with a new key."""
        certificate_id = self._free_id(request.CertificateID)
        subject = _name(request.Subject or f"CN={self.state.information.serial_number}")
        now = datetime.now(UTC)
        begin = _utc(request.ValidNotBefore) or now
        try:
            end = _utc(request.ValidNotAfter) or begin + DEFAULT_LIFETIME
            der, key = await asyncio.to_thread(_self_signed, subject, begin, end)
        except (ValueError, OverflowError) as error:  # out of X.509's time, or the end before the beginning
            raise Fault.sender("ter:InvalidArgVal", reason=f"no time for a certificate: {error}"[:200]) from error
        kept = Certificate(id=certificate_id, der=der, private_key_der=key)
        self._add(kept)
        return {"NvtCertificate": _written(kept)}

    @operation(Access.READ_SYSTEM)
    async def get_certificates(self, request: Any, caller: Caller) -> Reply:
        return {"NvtCertificate": [_written(each) for each in self.state.certificates.own]}

    @operation(Access.READ_SYSTEM)
    async def get_certificates_status(self, request: Any, caller: Caller) -> Reply:
        return {
            "CertificateStatus": [
                {"CertificateID": each.id, "Status": each.enabled} for each in self.state.certificates.own
            ]
        }

    @operation(Access.WRITE_SYSTEM)
    async def set_certificates_status(self, request: Any, caller: Caller) -> Reply:
        """What is switched on is what HTTPS shows; there is one key for its port, so at most one is on."""
        wanted = {each.CertificateID: each.Status for each in request.CertificateStatus}
        enabled = [name for name, status in wanted.items() if status]
        if len(enabled) > 1:
            raise Fault.sender("ter:InvalidArgVal", reason="one certificate at a time")
        for name in wanted:
            if self._find(name).private_key_der is None and name in enabled:
                raise invalid("ter:InvalidCertificate", f"{name!r} has no private key here")
        own = []
        for each in self.state.certificates.own:
            status = wanted.get(each.id, each.enabled and not enabled)
            own.append(each.model_copy(update={"enabled": status}))
        self.state.certificates.own = own
        self._changed()
        return NOTHING

    @operation(Access.WRITE_SYSTEM)
    async def delete_certificates(self, request: Any, caller: Caller) -> Reply:
        """Those of authorities, too. All or none."""
        names = set(request.CertificateID)
        kept = self.state.certificates
        known = {each.id: each for each in (*kept.own, *kept.authorities)}
        for name in names:
            if name not in known:
                raise invalid("ter:CertificateID", f"no certificate {name[:MAX_ID_CHARS]!r}")
            if known[name].enabled:
                raise Fault.sender("ter:OperationProhibited", "ter:CertificateInUse", reason=f"{name!r} is in use")
        kept.own = [each for each in kept.own if each.id not in names]
        kept.authorities = [each for each in kept.authorities if each.id not in names]
        self._changed()
        return NOTHING

    @operation(Access.READ_SYSTEM)
    async def get_pkcs10_request(self, request: Any, caller: Caller) -> Reply:
        """A request to an authority, for a certificate with the key of this name, or with a new key."""
        name = request.CertificateID
        kept = self.state.certificates
        key = next((each.private_key_der for each in kept.own if each.id == name), None)
        if key is None:
            key = next((each.private_key_der for each in kept.requested if each.certificate_id == name), None)
        subject = _name(request.Subject or f"CN={self.state.information.serial_number}")
        if key is None:
            _check_id(name)
            if len(kept.requested) >= MAX_CERTIFICATES:
                raise Fault.receiver("ter:Action", "ter:KeyGeneration", reason="too many requests are open")
            key = await asyncio.to_thread(_new_key)
            kept.requested = [*kept.requested, KeyPair(certificate_id=name, private_key_der=key)]
            self.save()
        data = await asyncio.to_thread(_signing_request, subject, key)
        return {"Pkcs10Request": {"Data": data, "contentType": "application/pkcs10"}}

    @operation(Access.WRITE_SYSTEM)
    async def load_certificates(self, request: Any, caller: Caller) -> Reply:
        """Certificates for keys that are here, from GetPkcs10Request or before. All or none."""
        loaded = []
        for wanted in request.NVTCertificate:
            certificate = _read(wanted.Certificate.Data)
            key = self._key_of(certificate)
            if key is None:
                raise invalid("ter:InvalidCertificate", "no key for this certificate is here")
            name = wanted.CertificateID or _fingerprint(certificate)
            loaded.append(
                Certificate(id=self._free_id(name, replacing=True), der=_der(certificate), private_key_der=key)
            )
        self._replace(loaded)
        return NOTHING

    @operation(Access.WRITE_SYSTEM)
    async def load_certificate_with_private_key(self, request: Any, caller: Caller) -> Reply:
        """All or none."""
        loaded = []
        for wanted in request.CertificateWithPrivateKey:
            certificate = _read(wanted.Certificate.Data)
            key = _read_key(wanted.PrivateKey.Data)
            if _public(certificate.public_key()) != _public(key.public_key()):
                raise invalid("ter:KeysNotMatching", "the key is not that of the certificate")
            name = wanted.CertificateID or _fingerprint(certificate)
            loaded.append(Certificate(id=self._free_id(name), der=_der(certificate), private_key_der=_private(key)))
        self._replace(loaded)
        return NOTHING

    @operation(Access.READ_SYSTEM)
    async def get_certificate_information(self, request: Any, caller: Caller) -> Reply:
        kept = self.state.certificates
        for each in (*kept.own, *kept.authorities):
            if each.id == request.CertificateID:
                return {"CertificateInformation": {"CertificateID": each.id, **_information(_read(each.der))}}
        raise invalid("ter:CertificateID", f"no certificate {request.CertificateID[:MAX_ID_CHARS]!r}")

    @operation(Access.READ_SYSTEM)
    async def get_ca_certificates(self, request: Any, caller: Caller) -> Reply:
        return {"CACertificate": [_written(each) for each in self.state.certificates.authorities]}

    @operation(Access.WRITE_SYSTEM)
    async def load_ca_certificates(self, request: Any, caller: Caller) -> Reply:
        """All or none."""
        loaded = []
        for wanted in request.CACertificate:
            certificate = _read(wanted.Certificate.Data)
            name = wanted.CertificateID or _fingerprint(certificate)
            loaded.append(Certificate(id=self._free_id(name), der=_der(certificate)))
        authorities = [*self.state.certificates.authorities, *loaded]
        if len(authorities) > MAX_CERTIFICATES:
            raise Fault.receiver("ter:Action", "ter:TooManyCertificates", reason=f"at most {MAX_CERTIFICATES}")
        self.state.certificates.authorities = authorities
        self._changed()
        return NOTHING

    @operation(Access.READ_SYSTEM)
    async def get_client_certificate_mode(self, request: Any, caller: Caller) -> Reply:
        return {"Enabled": self.state.certificates.client_authentication}

    @operation(Access.WRITE_SYSTEM)
    async def set_client_certificate_mode(self, request: Any, caller: Caller) -> Reply:
        """From then on HTTPS wants a certificate of one of the authorities."""
        if request.Enabled and not self.state.certificates.authorities:
            raise invalid("ter:InvalidClientCert", "no certificate of an authority is here to check clients with")
        self.state.certificates.client_authentication = request.Enabled
        self._changed()
        return NOTHING

    def _changed(self) -> None:
        self.save()
        self.device.surroundings.certificates_changed()

    def _find(self, name: str) -> Certificate:
        for each in self.state.certificates.own:
            if each.id == name:
                return each
        raise invalid("ter:CertificateID", f"no certificate {name[:MAX_ID_CHARS]!r}")

    def _free_id(self, name: str | None, *, replacing: bool = False) -> str:
        """Raises Fault for a name that is taken, or none."""
        kept = self.state.certificates
        taken = {each.id for each in kept.authorities} | (set() if replacing else {each.id for each in kept.own})
        if not name:
            return next(free for number in range(1, 10_000) if (free := f"Certificate{number}") not in taken)
        _check_id(name)
        if name in taken:
            raise invalid("ter:CertificateID", f"there is a certificate {name!r} already")
        return name

    def _key_of(self, certificate: x509.Certificate) -> bytes | None:
        public = _public(certificate.public_key())
        kept = self.state.certificates
        keys = (*(each.private_key_der for each in kept.own), *(each.private_key_der for each in kept.requested))
        return next((key for key in keys if key is not None and _public(_read_key(key).public_key()) == public), None)

    def _add(self, certificate: Certificate) -> None:
        self._replace([certificate])

    def _replace(self, loaded: list[Certificate]) -> None:
        """Put in what is new, in place of what has the same name."""
        names = {each.id for each in loaded}
        if len(names) < len(loaded):
            raise invalid("ter:CertificateID", "two certificates of one name")
        own = [*(each for each in self.state.certificates.own if each.id not in names), *loaded]
        if len(own) > MAX_CERTIFICATES:
            raise Fault.receiver("ter:Action", "ter:TooManyCertificates", reason=f"at most {MAX_CERTIFICATES}")
        self.state.certificates.own = own
        requested = self.state.certificates.requested
        self.state.certificates.requested = [each for each in requested if each.certificate_id not in names]
        self._changed()


def _check_id(name: str) -> None:
    if not 0 < len(name) <= MAX_ID_CHARS:
        raise invalid("ter:CertificateID", f"a name has 1 to {MAX_ID_CHARS} characters")


def _written(certificate: Certificate) -> Reply:
    """tt:Certificate."""
    data = {"Data": certificate.der, "contentType": "application/x-x509-cert"}
    return {"CertificateID": certificate.id, "Certificate": data}


def _read(data: bytes) -> x509.Certificate:
    """DER or PEM. Raises Fault."""
    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data)
    except ValueError as error:
        raise invalid("ter:CertificateFormat", "no certificate of X.509") from error


def _read_key(data: bytes) -> Any:
    """DER or PEM, not encrypted. Raises Fault."""
    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            return serialization.load_pem_private_key(data, None)
        return serialization.load_der_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise invalid("ter:PrivateKeyFormat", "no private key that can be read") from error


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _public(key: CertificatePublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _private(key: Any) -> bytes:
    encoded: bytes = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return encoded


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()[:32]


def _name(text: str) -> x509.Name:
    """A subject as people write it: CN=camera,O=somebody. Raises Fault."""
    attributes = []
    try:
        for part in text.split(","):
            key, equals, value = part.partition("=")
            if not equals:
                key, value = "CN", part
            attributes.append(x509.NameAttribute(_ATTRIBUTES[key.strip().upper()], value.strip()))
        return x509.Name(attributes)
    except (KeyError, ValueError) as error:
        raise invalid("ter:InvalidSubject", f"no subject: {text[:60]!r}") from error


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    try:
        return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise Fault.sender("ter:InvalidArgVal", reason="a time out of the calendar") from None


def _new_key() -> bytes:
    return _private(ec.generate_private_key(ec.SECP256R1()))


def _self_signed(subject: x509.Name, begin: datetime, end: datetime) -> tuple[bytes, bytes]:
    """Certificate and key, both in DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    return _der(builder.sign(key, hashes.SHA256())), _private(key)


def _signing_request(subject: x509.Name, key: bytes) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(_read_key(key), hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _information(certificate: x509.Certificate) -> dict[str, Any]:
    """tt:CertificateInformation."""
    key = certificate.public_key()
    return {
        "IssuerDN": certificate.issuer.rfc4514_string(),
        "SubjectDN": certificate.subject.rfc4514_string(),
        "KeyLength": key.key_size if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) else None,
        "Version": str(certificate.version.value + 1),
        "SerialNum": f"{certificate.serial_number:x}",
        "SignatureAlgorithm": certificate.signature_algorithm_oid._name,
        "Validity": {"From": certificate.not_valid_before_utc, "Until": certificate.not_valid_after_utc},
    }
