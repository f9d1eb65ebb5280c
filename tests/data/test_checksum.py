"""The checksum of a file does not depend on how it is read, and changes with each word."""

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastdigits.data.checksum import LANES, PIECE, Checksum


def digest(*parts: bytes) -> str:
    total = Checksum()
    for part in parts:
        total.update(part)
    return total.digest()


@given(st.binary(max_size=3000), st.lists(st.integers(0, 3000), max_size=8))
def test_parts_of_any_length_give_the_same(content, cuts):
    places = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    assert digest(*(content[a:b] for a, b in itertools.pairwise(places))) == digest(content)


@pytest.mark.parametrize("size", [PIECE - 8, PIECE, PIECE + 3, 2 * PIECE + 700])
def test_parts_across_pieces_give_the_same(size):
    content = np.random.default_rng(size).bytes(size)
    whole = digest(content)
    for step in (PIECE // 3, 100_003, PIECE):
        assert digest(*(content[i : i + step] for i in range(0, size, step))) == whole


def test_it_is_that_of_its_definition():
    content = np.random.default_rng(1).bytes(PIECE + 4321)
    words = np.frombuffer(content.ljust(2 * PIECE, b"\0"), "<u8").reshape(2, -1, LANES)
    state = np.zeros(LANES, np.uint64)
    for piece in words:
        state = state * np.uint64(0x9E3779B97F4A7C15) + piece.sum(axis=0)
    wanted = hashlib.sha256(state.tobytes() + len(content).to_bytes(8, "little")).hexdigest()[:16]
    assert digest(content) == wanted


def test_a_changed_bit_a_cut_a_byte_more_and_exchanged_pieces_change_it():
    content = bytearray(np.random.default_rng(0).bytes(3 * PIECE + 5))
    found = {digest(content), digest(content[:-1]), digest(content + b"\0"), digest(b"")}
    found.add(digest(content[PIECE : 2 * PIECE], content[:PIECE], content[2 * PIECE :]))
    for place in (0, 7, 512, PIECE - 1, PIECE, len(content) - 1):
        changed = content.copy()
        changed[place] ^= 64
        found.add(digest(changed))
    assert len(found) == 11
