"""Places in the arena: tensors that live at the same time do not overlap, and the arena is no larger than necessary."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastconv.plan.arena import ALIGN, Lifetime, assign

LIFETIMES = st.lists(
    st.builds(
        lambda size, first, length: Lifetime(size, first, first + length),
        st.integers(0, 5000),
        st.integers(0, 12),
        st.integers(0, 6),
    ),
    max_size=40,
)


def together(a, b):
    return a.first <= b.last and b.first <= a.last


def rounded(size):
    return -(-size // ALIGN) * ALIGN


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True)
@given(LIFETIMES)
def test_what_lives_together_does_not_overlap(lifetimes):
    offsets, size = assign(lifetimes)
    placed = list(zip(lifetimes, offsets, strict=True))
    for i, (a, at) in enumerate(placed):
        assert at % ALIGN == 0
        assert 0 <= at <= size - a.size
        for b, bt in placed[:i]:
            assert not together(a, b) or at + a.size <= bt or bt + b.size <= at or not a.size or not b.size
    assert size % ALIGN == 0
    most = max((sum(a.size for a in lifetimes if a.first <= t <= a.last) for t in range(20)), default=0)
    assert most <= size <= sum(rounded(a.size) for a in lifetimes)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(LIFETIMES)
def test_it_is_a_pure_function(lifetimes):
    before = list(lifetimes)
    assert assign(lifetimes) == assign(tuple(lifetimes)) == assign(before)
    assert lifetimes == before


def test_a_chain_takes_two_buffers():
    offsets, size = assign([Lifetime(1000, i, i + 1) for i in range(10)])
    assert set(offsets) == {0, 1024}
    assert size == 2048


def test_a_small_buffer_goes_into_a_gap():
    # the large ones at 0 and 1024; after the first has gone, what lives beside the second fits below it
    offsets, size = assign([Lifetime(1024, 0, 1), Lifetime(960, 0, 3), Lifetime(512, 2, 3), Lifetime(512, 2, 3)])
    assert offsets == [0, 1024, 0, 512]
    assert size == 1984


@pytest.mark.parametrize("lifetimes", [[], [Lifetime(0, 0, 5)], [Lifetime(0, 0, 5)] * 3])
def test_nothing_takes_no_memory(lifetimes):
    assert assign(lifetimes) == ([0] * len(lifetimes), 0)


def test_an_empty_buffer_beside_others():
    offsets, size = assign([Lifetime(64, 0, 2), Lifetime(0, 1, 1), Lifetime(64, 1, 2)])
    assert sorted([offsets[0], offsets[2]]) == [0, 64]
    assert size == 128


def first_fit(lifetimes):
    """The offsets by the definition: each buffer against all that were placed before."""
    offsets = {}
    for i in sorted(range(len(lifetimes)), key=lambda i: (-lifetimes[i].size, lifetimes[i].first)):
        beside = [
            (offset, offset + rounded(lifetimes[j].size))
            for j, offset in offsets.items()
            if lifetimes[j].size and together(lifetimes[i], lifetimes[j])
        ]
        offset = 0
        for start, end in sorted(beside):
            if offset + lifetimes[i].size <= start:
                break
            offset = max(offset, end)
        offsets[i] = offset if lifetimes[i].size else 0
    return [offsets[i] for i in range(len(lifetimes))]


@pytest.mark.slow
@settings(max_examples=200, deadline=None, derandomize=True)
@given(LIFETIMES)
def test_each_has_the_lowest_place_that_is_free(lifetimes):
    assert assign(lifetimes)[0] == first_fit(lifetimes)


def test_many_buffers():
    count = 4000
    chain = [Lifetime(64, i, i + 1) for i in range(count)]
    together_at_the_end = [Lifetime(64, i, count) for i in range(count)]
    assert assign(chain)[1] == 128
    assert assign(together_at_the_end)[1] == 64 * count
