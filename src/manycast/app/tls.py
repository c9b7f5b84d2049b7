"""The certificate of everything that speaks TLS: which files, and what happens when they are not there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from manycast.app.listening import StartError
from manycast.self_signed import CertificateFileError, make_certificate, own_names
from manycast.servers.certificate import Certificate, CertificateError


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPlan:
    """Where the certificate is, and who says so."""

    cert_file: Path
    key_file: Path
    origin: str
    make: bool  # where both files are missing; not for files of someone's own
    required: bool  # False where nobody asked for TLS: then the server runs without
    demanded: bool  # by an option, or RTSPS: then it does not start without, even if only the folder cannot be written


def open_certificate(plan: TlsPlan, notes: list[str]) -> Certificate | None:
    """Read the certificate; make one first where there is none yet, and say so in `notes`.

    None when there is none, and none is required. Raises StartError.
    """
    try:
        if plan.make and not plan.cert_file.exists() and not plan.key_file.exists():
            make_certificate(plan.cert_file, plan.key_file, own_names())
            notes.append(
                f"{plan.cert_file} and {plan.key_file.name} were made for HTTPS and RTSPS: nobody vouches for "
                "them, players warn or refuse; get a certificate of your own for more than tests"
            )
        return Certificate(plan.cert_file, plan.key_file)
    except (CertificateError, CertificateFileError) as error:
        text = (
            f"the certificate of HTTPS and RTSPS (cert_file and key_file, set by {plan.origin}) cannot be used: "
            f"{error}. Name others, make some with `manycast cert`, or switch off with --https-port 0 --rtsps-port 0"
        )
        if plan.demanded or (plan.required and isinstance(error, CertificateError)):
            raise StartError(text) from error
        notes.append(f"no HTTPS: {text}")
        return None
