"""A state without what nobody else may know, for backups that anybody can fetch."""

from __future__ import annotations

import re

from manycast.onvif.state.certificates import Certificate
from manycast.onvif.state.device import DeviceState

_LOGIN = re.compile(r"(?<=://)[^/?#]*@")


def without_secrets(state: DeviceState) -> DeviceState:
    """A copy without passwords, private keys, and addresses' logins and queries."""
    bare = state.model_copy(deep=True)
    for user in bare.users:
        user.password, user.earlier_passwords = "", []
    if bare.remote_user is not None:
        bare.remote_user.password = None
    for storage in bare.storage:
        if storage.user is not None:
            storage.user.password = None
    for certificate in (*bare.certificates.own, *bare.certificates.authorities):
        certificate.private_key_der = None
    bare.certificates.requested = []
    for profile in bare.profiles:
        profile.stream_uri.uri = _bare(profile.stream_uri.uri)
    return bare


def keep_secrets(state: DeviceState, known: DeviceState) -> None:
    """Give a state the secrets it lacks, where `known` has the same user, storage, certificate or address.

    Users without a password whom `known` has not are left out: anybody could log in as they.
    """
    own = known.model_copy(deep=True)
    users = {user.username: user for user in own.users}
    state.users = [user for user in state.users if user.password or user.username in users]
    for user in state.users:
        if not user.password:
            kept = users[user.username]
            user.password, user.earlier_passwords = kept.password, kept.earlier_passwords
    remote = own.remote_user
    if state.remote_user is not None and remote is not None and state.remote_user.username == remote.username:
        state.remote_user.password = state.remote_user.password or remote.password
    _keep_storage(state, own)
    _keep_keys(state.certificates.own, own.certificates.own)
    state.certificates.requested = state.certificates.requested or own.certificates.requested
    addresses = {profile.name: profile.stream_uri.uri for profile in own.profiles}
    for profile in state.profiles:
        address = addresses.get(profile.name)
        if address is not None and profile.stream_uri.uri == _bare(address):
            profile.stream_uri.uri = address


def _keep_storage(state: DeviceState, known: DeviceState) -> None:
    passwords = {(each.token, each.user.username): each.user.password for each in known.storage if each.user}
    for storage in state.storage:
        if storage.user is not None and storage.user.password is None:
            storage.user.password = passwords.get((storage.token, storage.user.username))


def _keep_keys(certificates: list[Certificate], known: list[Certificate]) -> None:
    keys = {certificate.der: certificate.private_key_der for certificate in known}
    for certificate in certificates:
        certificate.private_key_der = certificate.private_key_der or keys.get(certificate.der)
        certificate.enabled = certificate.enabled and certificate.private_key_der is not None


def _bare(uri: str | None) -> str | None:
    return None if uri is None else _LOGIN.sub("", uri).partition("?")[0]
