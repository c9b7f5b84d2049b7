"""What HTTPS shows, and what it wants to be shown."""

from __future__ import annotations

import ssl
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from manycast.hub.tls_pipe import server_context
from manycast.onvif.state.certificates import Certificate, Certificates


def make_context(certificates: Certificates, cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """With the certificate that a client has switched on, else with the configured one.

    It blocks for a moment. Raises OSError, ssl.SSLError and ValueError for what cannot be used.
    """
    enabled = next((each for each in certificates.own if each.enabled and each.private_key_der), None)
    context = server_context(str(cert_file), str(key_file)) if enabled is None else _of_state(enabled)
    if certificates.client_authentication:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=b"".join(each.der for each in certificates.authorities))
    return context


def _of_state(certificate: Certificate) -> ssl.SSLContext:
    """OpenSSL takes files only, so they are there for a moment, for nobody else to read."""
    assert certificate.private_key_der is not None
    key = serialization.load_der_private_key(certificate.private_key_der, None)
    with TemporaryDirectory() as folder:
        cert_file, key_file = Path(folder, "cert.pem"), Path(folder, "key.pem")
        parsed = x509.load_der_x509_certificate(certificate.der)
        cert_file.write_bytes(parsed.public_bytes(serialization.Encoding.PEM))
        key_file.touch(mode=0o600)
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return server_context(str(cert_file), str(key_file))
