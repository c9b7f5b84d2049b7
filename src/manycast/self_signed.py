"""Makes self-signed certificates, for tests and closed networks."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from manycast.errors import ManycastError

if TYPE_CHECKING:
    from cryptography import x509

VALID_DAYS = 825  # the most that some systems accept
_BACKDATED = timedelta(days=1)  # for clients whose clock is behind


class CertificateFileError(ManycastError):
    """The files cannot be written; the message says which and why."""


def own_names() -> list[str]:
    """The names and addresses this machine is likely to be reached by."""
    names = ["localhost", socket.gethostname(), socket.getfqdn(), "127.0.0.1", "::1"]
    for family, target in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.connect((target, 9))  # a documentation address: only the route is looked up, nothing is sent
                names.append(str(sock.getsockname()[0]))
        except OSError:
            pass
    return list(dict.fromkeys(name for name in names if name))


def make_certificate(cert_file: Path, key_file: Path, names: Sequence[str], *, force: bool = False) -> None:
    """Write a certificate for these names and addresses, and its key, which only the owner may read.

    Raises CertificateFileError, also when a file is there already, unless told to `force`.
    """
    if not force:
        for file in (cert_file, key_file):
            if file.exists():
                raise CertificateFileError(f"{file} is there already; --force writes over it")
    key, certificate = _make(names)
    # Whoever reads them gets the old ones or the new ones whole; a file that cannot be written changes neither.
    written = {key_file: _write_beside(key_file, key, mode=0o600)}
    try:
        written[cert_file] = _write_beside(cert_file, certificate, mode=0o644)
        for file, beside in written.items():
            os.replace(beside, file)
    except OSError as error:
        raise CertificateFileError(f"{error.filename2} cannot be written: {error.strerror}") from error
    finally:
        for beside in written.values():
            beside.unlink(missing_ok=True)


def _make(names: Sequence[str]) -> tuple[bytes, bytes]:
    """Key and certificate in PEM form."""
    # Imported here: the library is of no use to a server that has its certificate.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _common_name(names))])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=VALID_DAYS) - _BACKDATED)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem, certificate.public_bytes(serialization.Encoding.PEM)


def _common_name(names: Sequence[str]) -> str:
    return names[0][:64] if names else "manycast"  # the field's limit, RFC 5280 appendix A


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name.encode("idna").decode())
    except ValueError as error:  # UnicodeError among them
        raise CertificateFileError(f"{name!r} is no name of a machine") from error


def _write_beside(file: Path, data: bytes, *, mode: int) -> Path:
    """Write what is to become a file into another one in the same folder."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(data)
    except OSError as error:
        raise CertificateFileError(f"{file} cannot be written: {error.strerror}") from error
    return beside
