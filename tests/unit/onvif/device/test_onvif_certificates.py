"""Certificates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.soap import SoapFault, asked_device

from manycast.onvif.surroundings import Surroundings

DER = serialization.Encoding.DER
PEM = serialization.Encoding.PEM


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def signed(public_key: ec.EllipticCurvePublicKey, key: ec.EllipticCurvePrivateKey, subject: str) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name("authority"))
        .public_key(public_key)
        .serial_number(77)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def written(key: ec.EllipticCurvePrivateKey, encoding: serialization.Encoding = DER) -> bytes:
    return key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def loaded(certificate: x509.Certificate, certificate_id: str = "loaded") -> dict[str, Any]:
    return {"CertificateID": certificate_id, "Certificate": {"Data": certificate.public_bytes(DER)}}


async def test_a_certificate_of_the_devices_own_is_made_used_and_deleted() -> None:
    changes: list[None] = []
    device = await asked_device(surroundings=Surroundings(certificates_changed=lambda: changes.append(None)))
    made = (
        await device.ask("tds:CreateCertificate", CertificateID="mine", Subject="CN=camera,O=somebody,C=DE")
    ).NvtCertificate
    certificate = x509.load_der_x509_certificate(made.Certificate.Data)
    assert certificate.subject.rfc4514_string() == "C=DE,O=somebody,CN=camera"
    assert [each.CertificateID for each in (await device.ask("tds:GetCertificates")).NvtCertificate] == ["mine"]

    await device.ask("tds:SetCertificatesStatus", CertificateStatus=[{"CertificateID": "mine", "Status": True}])
    status = (await device.ask("tds:GetCertificatesStatus")).CertificateStatus
    assert [(each.CertificateID, each.Status) for each in status] == [("mine", True)]
    assert changes
    with pytest.raises(SoapFault, match="ter:OperationProhibited/ter:CertificateInUse"):
        await device.ask("tds:DeleteCertificates", CertificateID=["mine"])
    await device.ask("tds:SetCertificatesStatus", CertificateStatus=[{"CertificateID": "mine", "Status": False}])
    await device.ask("tds:DeleteCertificates", CertificateID=["mine"])
    assert (await device.ask("tds:GetCertificates")).NvtCertificate == []


async def test_one_certificate_is_used_at_a_time() -> None:
    device = await asked_device()
    for certificate_id in ("first", "second"):
        await device.ask("tds:CreateCertificate", CertificateID=certificate_id)
        status = {"CertificateID": certificate_id, "Status": True}
        await device.ask("tds:SetCertificatesStatus", CertificateStatus=[status])
    assert [each.enabled for each in device.state.certificates.own] == [False, True]
    both = [{"CertificateID": each, "Status": True} for each in ("first", "second")]
    with pytest.raises(SoapFault, match="ter:InvalidArgVal"):
        await device.ask("tds:SetCertificatesStatus", CertificateStatus=both)


async def test_a_certificate_is_asked_of_an_authority_and_loaded() -> None:
    device = await asked_device()
    data = (await device.ask("tds:GetPkcs10Request", CertificateID="mine", Subject="CN=camera")).Pkcs10Request.Data
    request = x509.load_der_x509_csr(data)
    assert request.is_signature_valid
    again = (await device.ask("tds:GetPkcs10Request", CertificateID="mine", Subject="CN=camera")).Pkcs10Request.Data
    public_key = request.public_key()
    assert x509.load_der_x509_csr(again).public_key() == public_key
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    certificate = signed(public_key, new_key(), "camera")
    await device.ask("tds:LoadCertificates", NVTCertificate=[loaded(certificate, "mine")])
    kept = device.state.certificates
    assert [each.id for each in kept.own] == ["mine"]
    assert kept.requested == []
    assert kept.own[0].private_key_der is not None


async def test_a_certificate_without_its_key_is_refused() -> None:
    device = await asked_device()
    key = new_key()
    with pytest.raises(SoapFault, match="ter:InvalidCertificate"):
        await device.ask("tds:LoadCertificates", NVTCertificate=[loaded(signed(key.public_key(), key, "camera"))])


@pytest.mark.parametrize("encoding", [DER, PEM])
async def test_a_certificate_comes_with_its_key(encoding: serialization.Encoding) -> None:
    device = await asked_device()
    key = new_key()
    wanted = {
        "CertificateID": "mine",
        "Certificate": {"Data": signed(key.public_key(), key, "camera").public_bytes(encoding)},
        "PrivateKey": {"Data": written(key, encoding)},
    }
    await device.ask("tds:LoadCertificateWithPrivateKey", CertificateWithPrivateKey=[wanted])
    told = (await device.ask("tds:GetCertificateInformation", CertificateID="mine")).CertificateInformation
    assert (told.SubjectDN, told.IssuerDN, told.KeyLength, told.SerialNum) == ("CN=camera", "CN=authority", 256, "4d")
    assert told.Validity.From < datetime.now(UTC) < told.Validity.Until

    other = {**wanted, "CertificateID": "other", "PrivateKey": {"Data": written(new_key())}}
    with pytest.raises(SoapFault, match="ter:KeysNotMatching"):
        await device.ask("tds:LoadCertificateWithPrivateKey", CertificateWithPrivateKey=[other])
    with pytest.raises(SoapFault, match="ter:CertificateID"):
        await device.ask("tds:LoadCertificateWithPrivateKey", CertificateWithPrivateKey=[wanted])


@pytest.mark.parametrize("data", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----"])
async def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    device = await asked_device()
    wanted: dict[str, Any] = {"CertificateID": "x", "Certificate": {"Data": data}}
    for operation, argument, key in (
        ("LoadCertificates", "NVTCertificate", {}),
        ("LoadCACertificates", "CACertificate", {}),
        ("LoadCertificateWithPrivateKey", "CertificateWithPrivateKey", {"PrivateKey": {"Data": data}}),
    ):
        with pytest.raises(SoapFault, match="ter:InvalidArgVal/ter:CertificateFormat"):
            await device.ask(f"tds:{operation}", **{argument: [{**wanted, **key}]})
    assert device.state.certificates.own == device.state.certificates.authorities == []


async def test_clients_are_asked_for_a_certificate_once_there_is_an_authority() -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="ter:InvalidClientCert"):
        await device.ask("tds:SetClientCertificateMode", Enabled=True)
    key = new_key()
    await device.ask("tds:LoadCACertificates", CACertificate=[loaded(signed(key.public_key(), key, "authority"), "ca")])
    assert [each.CertificateID for each in (await device.ask("tds:GetCACertificates")).CACertificate] == ["ca"]
    await device.ask("tds:SetClientCertificateMode", Enabled=True)
    assert (await device.ask("tds:GetClientCertificateMode")).Enabled is True


@pytest.mark.parametrize("subject", ["CN=a,X=b", "C=Germany", "CN="])
async def test_what_is_no_subject_is_refused(subject: str) -> None:
    device = await asked_device()
    with pytest.raises(SoapFault, match="ter:InvalidArgVal"):
        await device.ask("tds:CreateCertificate", Subject=subject)


async def test_a_certificate_ends_after_it_begins() -> None:
    device = await asked_device()
    now = datetime.now(UTC)
    with pytest.raises(SoapFault, match="ter:InvalidArgVal"):
        await device.ask("tds:CreateCertificate", ValidNotBefore=now, ValidNotAfter=now - timedelta(days=1))
