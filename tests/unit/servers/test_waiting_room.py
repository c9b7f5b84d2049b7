"""Who has to go when too many wait."""

from hypothesis import given
from hypothesis import strategies as st

from manycast.servers.waiting_room import WaitingRoom


def test_the_oldest_of_an_address_goes_when_it_has_too_many() -> None:
    room: WaitingRoom[int] = WaitingRoom(limit=100, limit_per_address=2)
    assert [room.add(number, "a") for number in range(4)] == [None, None, 0, 1]
    assert room.add(9, "b") is None
    assert len(room) == 3


def test_the_oldest_of_all_goes_when_the_room_is_full() -> None:
    room: WaitingRoom[int] = WaitingRoom(limit=2, limit_per_address=2)
    assert [room.add(number, f"address {number}") for number in range(4)] == [None, None, 0, 1]
    assert 3 in room
    assert 0 not in room


def test_one_who_has_left_leaves_room() -> None:
    room: WaitingRoom[int] = WaitingRoom(limit=1, limit_per_address=1)
    room.add(1, "a")
    room.remove(1)
    room.remove(1)
    assert room.add(2, "a") is None


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from("abc"), st.booleans())))
def test_the_limits_hold_and_nobody_is_lost(steps: list[tuple[int, str, bool]]) -> None:
    room: WaitingRoom[tuple[int, str]] = WaitingRoom(limit=6, limit_per_address=3)
    inside: set[tuple[int, str]] = set()
    for number, address, coming in steps:
        item = (number, address)
        if coming and item not in inside:
            gone = room.add(item, address)
            inside -= {gone}
            inside.add(item)
        elif not coming:
            room.remove(item)
            inside.discard(item)
        assert len(room) == len(inside) <= 6
        assert all(item in room for item in inside)
        assert all(sum(of == address for _, of in inside) <= 3 for address in "abc")
