"""Where recordings may be kept."""

from __future__ import annotations

from typing import Any

from manycast.onvif.device.arguments import invalid
from manycast.onvif.device.part import DevicePart
from manycast.onvif.security.access import Access
from manycast.onvif.soap.fault import Fault
from manycast.onvif.soap.service import NOTHING, Caller, Reply, operation
from manycast.onvif.state.limits import MAX_STORAGES
from manycast.onvif.state.storage import Storage, StorageCredential

MAX_TEXT_CHARS = 1024
TYPES = ("NFS", "CIFS", "CDMI", "FTP", "ObjectStorageS3", "ObjectStorageAzure")


class StorageConfigurations(DevicePart):
    @operation(Access.READ_MEDIA)
    async def get_storage_configurations(self, request: Any, caller: Caller) -> Reply:
        return {"StorageConfigurations": [_written(each) for each in self.state.storage]}

    @operation(Access.READ_MEDIA)
    async def get_storage_configuration(self, request: Any, caller: Caller) -> Reply:
        return {"StorageConfiguration": _written(self._find(request.Token))}

    @operation(Access.ACTUATE)
    async def create_storage_configuration(self, request: Any, caller: Caller) -> Reply:
        if len(self.state.storage) >= MAX_STORAGES:
            reason = f"at most {MAX_STORAGES} storages"
            raise Fault.receiver("ter:OperationProhibited", "ter:MaxStorageConfigurations", reason=reason)
        taken = {each.token for each in self.state.storage}
        token = next(name for number in range(1, MAX_STORAGES + 2) if (name := f"Storage{number}") not in taken)
        self.state.storage = [*self.state.storage, _read(token, request.StorageConfiguration, None)]
        self.save()
        return {"Token": token}

    @operation(Access.ACTUATE)
    async def set_storage_configuration(self, request: Any, caller: Caller) -> Reply:
        wanted = request.StorageConfiguration
        known = self._find(wanted.token)
        storages = list(self.state.storage)
        storages[storages.index(known)] = _read(known.token, wanted.Data, known)
        self.state.storage = storages
        self.save()
        return NOTHING

    @operation(Access.ACTUATE)
    async def delete_storage_configuration(self, request: Any, caller: Caller) -> Reply:
        known = self._find(request.Token)
        self.state.storage = [each for each in self.state.storage if each is not known]
        self.save()
        return NOTHING

    def _find(self, token: str) -> Storage:
        for storage in self.state.storage:
            if storage.token == token:
                return storage
        raise invalid("ter:NoConfig", f"no storage {token[:64]!r}")


def _read(token: str, data: Any, known: Storage | None) -> Storage:
    """Of tds:StorageConfigurationData. Raises Fault. A password that is left out stays as it is known."""
    texts = [data.type, data.LocalPath, data.StorageUri, data.Region, data.CertPathValidationPolicyID]
    user = data.User
    if user is not None:
        texts += [user.UserName, user.Password]
    if any(len(text or "") > MAX_TEXT_CHARS for text in texts):
        raise invalid("ter:ConfigModify", f"at most {MAX_TEXT_CHARS} characters")
    if data.type not in TYPES:
        raise invalid(
            "ter:ConfigModify", f"no type of storage: {(data.type or '')[:60]!r}; there are {', '.join(TYPES)}"
        )
    if not data.LocalPath and not data.StorageUri:
        raise invalid("ter:ConfigModify", "a storage without a place")
    credential = None
    if user is not None:
        kept = known.user.password if known is not None and known.user is not None else None
        password = kept if user.Password is None else user.Password
        credential = StorageCredential(username=user.UserName, password=password)
    return Storage(
        token=token,
        type=data.type,
        local_path=data.LocalPath,
        storage_uri=data.StorageUri,
        user=credential,
        cert_path_validation_policy_id=data.CertPathValidationPolicyID,
        region=data.Region,
    )


def _written(storage: Storage) -> Reply:
    """tds:StorageConfiguration, without the password."""
    return {
        "token": storage.token,
        "Data": {
            "type": storage.type,
            "LocalPath": storage.local_path,
            "StorageUri": storage.storage_uri,
            "User": None if storage.user is None else {"UserName": storage.user.username},
            "CertPathValidationPolicyID": storage.cert_path_validation_policy_id,
            "Region": storage.region,
        },
    }
