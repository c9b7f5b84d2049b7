"""SRTP and SRTCP."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manycast.wire.mikey import SrtpPolicy
from manycast.wire.rtp.packet import header
from manycast.wire.rtp.rtcp import ReceiverReport
from manycast.wire.rtp.srtp import MAX_PACKET_BYTES, SrtpError, SrtpKey, SrtpReceiver, SrtpSender, with_mki

MASTER = bytes(range(46))
SSRC = 0xCAFEBABE

# The policies a peer can ask for.
POLICIES = [
    SrtpPolicy(),
    SrtpPolicy(tag_bytes=4),
    SrtpPolicy(key_bytes=32),
    SrtpPolicy(encrypt_rtp=False, encrypt_rtcp=False),
    SrtpPolicy(encrypt_rtcp=False),
]


def key_for(policy: SrtpPolicy, mki: bytes = b"") -> SrtpKey:
    return SrtpKey(master=MASTER[: policy.key_bytes + 14], mki=mki, policy=policy)


def packet(sequence: int, payload: bytes = b"picture") -> bytes:
    return header(96, sequence, 1000, SSRC, False) + payload


@pytest.mark.parametrize("roll_overs", [1, 2, 7, 300])
@pytest.mark.parametrize("sequence", [0, 1, 0x7FFF, 0x8000, 0xFFFF])
def test_a_receiver_that_comes_late(roll_overs: int, sequence: int) -> None:
    key = key_for(SrtpPolicy(), b"key1")
    sender, receiver = SrtpSender(key), SrtpReceiver(key)
    index = roll_overs << 16 | sequence
    for number in (*range(0, index - 1, 0x6000), index - 1):
        sender.protect(packet(number & 0xFFFF))
    wire = [with_mki(sender.protect(packet(number & 0xFFFF)), b"key1", 10) for number in range(index, index + 3)]
    with pytest.raises(SrtpError):
        SrtpReceiver(key).receive_rtp(wire[0])
    receiver.begin(SSRC, index)
    assert [receiver.receive_rtp(data) for data in wire] == [packet((sequence + n) & 0xFFFF) for n in range(3)]
    assert receiver.refused == 0


def test_vector_of_the_rfc() -> None:
    """The key of RFC 3711 appendix B.3, and a packet known from libsrtp's own tests of it."""
    key = SrtpKey(
        master=bytes.fromhex("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6"), policy=SrtpPolicy()
    )
    plain = bytes.fromhex("800f1234decafbadcafebabe" + "ab" * 16)
    wire = bytes.fromhex(
        "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb",
    )
    assert SrtpSender(key).protect(plain) == wire
    assert SrtpReceiver(key).receive_rtp(wire) == plain


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("mki", [b"", b"key1"])
def test_there_and_back(policy: SrtpPolicy, mki: bytes) -> None:
    key = key_for(policy, mki)
    sender, receiver = SrtpSender(key), SrtpReceiver(key)
    report = ReceiverReport(ssrc=SSRC).serialize()
    for sequence in (65534, 65535, 0, 1):  # over the edge: the counter goes on
        plain = packet(sequence)
        wire = with_mki(sender.protect(plain), mki, policy.tag_bytes)
        assert len(wire) == len(plain) + len(mki) + policy.tag_bytes
        assert (plain[12:] in wire) == (not policy.encrypt_rtp)
        assert receiver.receive_rtp(wire) == plain
        control = with_mki(sender.protect_rtcp(report), mki, policy.tag_bytes)
        assert len(control) == len(report) + 4 + len(mki) + policy.tag_bytes
        assert (control[len(report)] >= 0x80) == policy.encrypt_rtcp  # the E flag (RFC 3711 section 3.4)
        assert receiver.receive_rtcp(control) == report
    assert receiver.refused == 0


def test_a_large_packet() -> None:
    key = key_for(SrtpPolicy())
    plain = packet(1, bytes(60_000))
    assert SrtpReceiver(key).receive_rtp(SrtpSender(key).protect(plain)) == plain


@pytest.mark.parametrize("policy", POLICIES)
def test_a_wrong_key_is_refused(policy: SrtpPolicy) -> None:
    right = key_for(policy)
    wrong = SrtpKey(master=right.master[::-1], policy=policy)
    receiver = SrtpReceiver(wrong)
    with pytest.raises(SrtpError, match="authentication failure"):
        receiver.receive_rtp(SrtpSender(right).protect(packet(1)))
    with pytest.raises(SrtpError, match="authentication failure"):
        receiver.receive_rtcp(SrtpSender(right).protect_rtcp(ReceiverReport(ssrc=SSRC).serialize()))
    assert receiver.refused == 2
    assert receiver.last_fault == "authentication failure"


@pytest.mark.parametrize("policy", POLICIES)
def test_one_changed_bit_is_seen(policy: SrtpPolicy) -> None:
    key = key_for(policy)
    wire = SrtpSender(key).protect(packet(1))
    for position in range(len(wire)):
        changed = bytearray(wire)
        changed[position] ^= 1
        with pytest.raises(SrtpError):
            SrtpReceiver(key).receive_rtp(bytes(changed))


def test_a_packet_that_comes_again_is_refused() -> None:
    key = key_for(SrtpPolicy())
    receiver = SrtpReceiver(key)
    wire = SrtpSender(key).protect(packet(1))
    receiver.receive_rtp(wire)
    with pytest.raises(SrtpError, match="replay"):
        receiver.receive_rtp(wire)


def test_packets_may_come_in_another_order() -> None:
    key = key_for(SrtpPolicy())
    sender, receiver = SrtpSender(key), SrtpReceiver(key)
    packets = [packet(sequence & 0xFFFF) for sequence in range(65400, 65600)]
    wires = [sender.protect(data) for data in packets]
    opened = [receiver.receive_rtp(wire) for wire in [wires[0], *reversed(wires[1:])]]
    assert opened == [packets[0], *reversed(packets[1:])]
    assert receiver.refused == 0


def test_another_mki_is_named() -> None:
    key = key_for(SrtpPolicy(), b"key1")
    with pytest.raises(SrtpError, match="key 6b657932, wanted 6b657931"):
        SrtpReceiver(key).receive_rtp(with_mki(SrtpSender(key).protect(packet(1)), b"key2", 10))


@given(st.binary(max_size=200), st.sampled_from(POLICIES), st.sampled_from([b"", b"key1"]))
def test_random_bytes(data: bytes, policy: SrtpPolicy, mki: bytes) -> None:
    receiver = SrtpReceiver(key_for(policy, mki))
    for receive in (receiver.receive_rtp, receiver.receive_rtcp):
        with pytest.raises(SrtpError):
            receive(data)
    assert receiver.refused == 2


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(SrtpError, match="65536 bytes"):
        SrtpReceiver(key_for(SrtpPolicy())).receive_rtp(bytes(MAX_PACKET_BYTES + 1))


def test_a_key_of_the_wrong_size_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="30 bytes, wanted 46"):
        SrtpSender(SrtpKey(master=bytes(30), policy=SrtpPolicy(key_bytes=32)))
