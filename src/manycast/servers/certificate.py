"""The server's certificate: read at the start, and again when its files are renewed."""

from __future__ import annotations

import logging
import ssl
import time
from pathlib import Path

from manycast.errors import ManycastError
from manycast.hub.tls_pipe import server_context

CHECK_INTERVAL_S = 60.0

log = logging.getLogger(__name__)

_REASONS = {
    "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
    "NO_START_LINE": "one of them is not in PEM form",
    "PEM_LIB": "one of them is not in PEM form",
    "BAD_PASSWORD_READ": "the key is encrypted: decrypt it (openssl pkey -in KEY -out PLAIN-KEY)",
    "BAD_DECRYPT": "the key is encrypted: decrypt it (openssl pkey -in KEY -out PLAIN-KEY)",
    "EE_KEY_TOO_SMALL": "the key is too short for today's TLS: use RSA with 2048 bits or more, or P-256",
    "CA_MD_TOO_WEAK": "the certificate's signature is too weak for today's TLS: use SHA-256",
}


class CertificateError(ManycastError):
    """The certificate cannot be used; the message names the files and the reason."""


class Certificate:
    """Certificate and key, as the context that TLS connections are made with."""

    def __init__(self, cert_file: Path, key_file: Path) -> None:
        """Raises CertificateError."""
        self._files = (cert_file, key_file)
        self._seen = _times(self._files)
        self._context = _read(self._files)
        self._checked_s = time.monotonic()

    def context(self) -> ssl.SSLContext:
        """What a new connection is to use. Renewed files are noticed within a minute."""
        now_s = time.monotonic()
        if now_s - self._checked_s >= CHECK_INTERVAL_S:
            self._checked_s = now_s
            self._renew()
        return self._context

    def _renew(self) -> None:
        seen = _times(self._files)
        if seen == self._seen:
            return
        try:
            self._context = _read(self._files)
        except CertificateError as error:  # perhaps only one of the two has been written yet
            log.warning("the renewed certificate is not used yet: %s", error)
            return
        self._seen = seen
        log.info("certificate %s was renewed", self._files[0])


def _read(files: tuple[Path, Path]) -> ssl.SSLContext:
    for file in files:
        try:
            file.open("rb").close()
        except OSError as error:
            raise CertificateError(f"{file}: {error.strerror}") from error
    names = " and ".join(map(str, files))
    try:
        return server_context(*map(str, files))
    except ssl.SSLError as error:
        raise CertificateError(f"{names}: {_REASONS.get(error.reason or '', error.reason or str(error))}") from error
    except OSError as error:
        raise CertificateError(f"{names}: {error.strerror or error}") from error


def _times(files: tuple[Path, Path]) -> tuple[int, ...]:
    """When the files were last written; 0 for one that is not there."""
    times = []
    for file in files:
        try:
            times.append(file.stat().st_mtime_ns)
        except OSError:
            times.append(0)
    return tuple(times)
