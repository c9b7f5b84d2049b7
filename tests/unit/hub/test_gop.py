"""The group of pictures a new viewer gets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from manycast.hub.gop import GopCache


def add(cache: GopCache[str], items: str, *, size_bytes: int = 1) -> None:
    """Upper case letters are keyframes."""
    for item in items:
        cache.add(item, size_bytes=size_bytes, keyframe=item.isupper())


def kept(cache: GopCache[str]) -> str:
    return "".join(cache)


def test_before_the_first_keyframe_nothing_is_kept() -> None:
    cache: GopCache[str] = GopCache()
    add(cache, "abc")
    assert (kept(cache), len(cache), cache.size_bytes) == ("", 0, 0)


def test_what_came_since_the_latest_keyframe_is_kept_in_order() -> None:
    cache: GopCache[str] = GopCache()
    add(cache, "aKbcLde")
    assert kept(cache) == "Lde"
    assert cache.size_bytes == 3


def test_a_group_that_outgrows_its_number_is_forgotten_up_to_the_next_keyframe() -> None:
    cache: GopCache[str] = GopCache(max_items=3)
    add(cache, "Kab")
    assert kept(cache) == "Kab"
    add(cache, "cd")
    assert kept(cache) == ""
    add(cache, "La")
    assert kept(cache) == "La"


def test_a_group_that_outgrows_its_bytes_is_forgotten() -> None:
    cache: GopCache[str] = GopCache(max_bytes=10)
    add(cache, "Ka", size_bytes=5)
    assert cache.size_bytes == 10
    add(cache, "b", size_bytes=1)
    assert (kept(cache), cache.size_bytes) == ("", 0)


@given(st.text("abcKLM", max_size=60), st.integers(1, 10), st.integers(1, 30), st.integers(1, 5))
def test_it_is_always_a_whole_start_and_within_its_bounds(
    items: str, max_items: int, max_bytes: int, size_bytes: int
) -> None:
    cache: GopCache[str] = GopCache(max_items=max_items, max_bytes=max_bytes)
    for count in range(len(items)):
        add(cache, items[count], size_bytes=size_bytes)
        found = kept(cache)
        assert len(found) <= max_items
        assert cache.size_bytes == len(found) * size_bytes <= max_bytes
        assert items[: count + 1].endswith(found)
        assert not found or (found[0].isupper() and found[1:].islower() | (len(found) == 1))
