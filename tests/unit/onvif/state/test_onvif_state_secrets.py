"""What a backup that anybody can fetch leaves out, and how it comes back."""

from __future__ import annotations

from manycast.onvif.state.certificates import Certificate, Certificates, KeyPair
from manycast.onvif.state.device import DeviceState
from manycast.onvif.state.profiles import Profile, StreamUri
from manycast.onvif.state.runtime_file import parse, serialize
from manycast.onvif.state.secrets import keep_secrets, without_secrets
from manycast.onvif.state.storage import Storage, StorageCredential
from manycast.onvif.state.users import RemoteUser, User


def full() -> DeviceState:
    return DeviceState(
        users=[User(username="admin", password="hidden1", earlier_passwords=["hidden2"])],
        remote_user=RemoteUser(username="there", password="hidden3"),
        storage=[Storage(token="s", type="NFS", user=StorageCredential(username="nfs", password="hidden4"))],
        certificates=Certificates(
            own=[Certificate(id="web", der=b"public", private_key_der=b"hidden5", enabled=True)],
            requested=[KeyPair(certificate_id="later", private_key_der=b"hidden6")],
        ),
        profiles=[
            Profile(
                name="one", stream_uri=StreamUri(uri="rtsp://joe:hidden7@[2001:db8::1]:554/a?user=joe&pass=hidden8")
            ),
            Profile(name="two", stream_uri=StreamUri(stream="demo")),
        ],
    )


def test_nothing_secret_is_left_and_the_state_itself_stays_whole() -> None:
    state = full()
    text = repr(without_secrets(state).model_dump())
    assert "hidden" not in text
    assert "rtsp://[2001:db8::1]:554/a" in text
    assert state == full()


def test_the_same_device_gets_all_of_it_back() -> None:
    backup = parse(serialize(without_secrets(full())))
    keep_secrets(backup, full())
    assert backup == full()


def test_what_a_state_brings_itself_wins() -> None:
    state, known = full(), full()
    state.users[0].password = "its own"
    state.certificates.own[0].private_key_der = b"its own"
    state.profiles[0].stream_uri.uri = "rtsp://elsewhere/a"
    keep_secrets(state, known)
    assert (state.users[0].password, state.users[0].earlier_passwords) == ("its own", ["hidden2"])
    assert state.certificates.own[0].private_key_der == b"its own"
    assert state.profiles[0].stream_uri.uri == "rtsp://elsewhere/a"


def test_on_another_device_nobody_is_let_in_without_a_password() -> None:
    backup = without_secrets(full())
    keep_secrets(backup, DeviceState(users=[User(username="other", password="other's")]))
    assert backup.users == []
    assert not backup.certificates.own[0].enabled  # it has no key to show it with
    assert parse(serialize(backup)) == backup


def test_passwords_are_not_given_to_others_of_the_same_place() -> None:
    backup = without_secrets(full())
    assert backup.remote_user is not None
    assert backup.storage[0].user is not None
    backup.remote_user.username = backup.storage[0].user.username = "somebody"
    keep_secrets(backup, full())
    assert (backup.remote_user.password, backup.storage[0].user.password) == (None, None)
