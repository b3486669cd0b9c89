"""Codes against text of 0 and 1."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bitreid.codes import (
    Codes,
    Part,
    bit_statistics,
    check_layout,
    hamming_distances,
    pack,
    pack_bits,
    part_mask,
    part_sizes,
    unpack,
)
from bitreid.errors import CodesError
from tests.reference import codes as reference

Bits = npt.NDArray[np.bool_]


@st.composite
def texts(draw: st.DrawFn, n_bits: int, min_rows: int = 1) -> list[str]:
    """Rows of 0 and 1, all `n_bits` long."""
    return draw(
        st.lists(
            st.text("01", min_size=n_bits, max_size=n_bits),
            min_size=min_rows,
            max_size=6,
        )
    )


def as_bits(rows: list[str]) -> Bits:
    return np.array([[digit == "1" for digit in row] for row in rows], dtype=np.bool_)


@given(st.integers(1, 40).flatmap(texts))
def test_pack_bits_gives_the_bytes_of_the_text(rows: list[str]) -> None:
    codes = pack_bits(as_bits(rows))
    assert codes.packed.tolist() == [reference.packed_bytes(row) for row in rows]
    assert codes.n_bits == -(-len(rows[0]) // 8) * 8
    assert len(codes) == len(rows)


@given(st.integers(1, 5).map(lambda n: 8 * n).flatmap(texts))
def test_unpack_inverts_pack_bits(rows: list[str]) -> None:
    np.testing.assert_array_equal(unpack(pack_bits(as_bits(rows))), as_bits(rows))


@given(st.lists(st.lists(st.floats(allow_nan=False, width=32), min_size=8, max_size=8), min_size=1, max_size=5))
def test_pack_takes_the_sign(values: list[list[float]]) -> None:
    codes = pack(np.array(values, dtype=np.float32))
    assert codes.packed.tolist() == [reference.packed_bytes(reference.sign_bits(row)) for row in values]


def test_pack_gives_zero_for_both_zeros() -> None:
    features = np.array([[0.0, -0.0, 1e-45, -1e-45, np.inf, -np.inf, 1.0, -1.0]], dtype=np.float32)
    assert pack(features).packed.tolist() == [[0b00101010]]


def test_pack_refuses_nan() -> None:
    features = np.zeros((3, 8), dtype=np.float32)
    features[1:, 5] = np.nan
    with pytest.raises(CodesError, match="NaN in 2 rows, first row 1"):
        pack(features)


@given(st.integers(1, 5).map(lambda n: 8 * n).flatmap(lambda n: st.tuples(texts(n), texts(n))))
def test_hamming_distances_count_different_places(sides: tuple[list[str], list[str]]) -> None:
    queries, gallery = sides
    found = hamming_distances(pack_bits(as_bits(queries)), pack_bits(as_bits(gallery)))
    assert found.dtype == np.int32
    assert found.tolist() == [[reference.hamming_distance(a, b) for b in gallery] for a in queries]


def test_hamming_distances_of_the_longest_codes_are_exact() -> None:
    ones, zeros = np.ones((1, 4096), np.bool_), np.zeros((1, 4096), np.bool_)
    almost = ones.copy()
    almost[0, -1] = False
    assert hamming_distances(pack_bits(ones), pack_bits(np.concatenate([zeros, almost, ones]))).tolist() == [
        [4096, 1, 0]
    ]


def test_hamming_distances_of_an_empty_gallery() -> None:
    codes = pack_bits(np.ones((3, 16), np.bool_))
    assert hamming_distances(codes, codes[:0]).shape == (3, 0)


def test_hamming_distances_refuse_other_lengths() -> None:
    with pytest.raises(CodesError, match="8 and 16 bits"):
        hamming_distances(pack_bits(np.ones((1, 8), np.bool_)), pack_bits(np.ones((1, 16), np.bool_)))


@given(texts(32), st.sampled_from([8, 16, 24, 32]))
def test_prefix_is_the_start_of_the_text(rows: list[str], n_bits: int) -> None:
    prefix = pack_bits(as_bits(rows)).prefix(n_bits)
    assert prefix.n_bits == n_bits
    assert prefix.packed.tolist() == [reference.packed_bytes(row[:n_bits]) for row in rows]
    assert prefix.packed.flags.c_contiguous


@pytest.mark.parametrize("n_bits", [40, 12, 0, -8])
def test_prefix_refuses_an_impossible_length(n_bits: int) -> None:
    with pytest.raises(CodesError, match=str(n_bits)):
        pack_bits(np.ones((1, 32), np.bool_)).prefix(n_bits)


LAYOUT = (Part("global", 0, 8), Part("head", 8, 12), Part("legs", 12, 16))


@given(texts(16), st.lists(st.sampled_from(["global", "head", "legs"]), min_size=1, max_size=4))
def test_part_keeps_the_named_bits_in_the_layouts_order(rows: list[str], names: list[str]) -> None:
    pieces = {"global": slice(0, 8), "head": slice(8, 12), "legs": slice(12, 16)}
    kept = ["".join(row[pieces[name]] for name in pieces if name in names) for row in rows]
    found = pack_bits(as_bits(rows), LAYOUT).part(*names)
    assert found.packed.tolist() == [reference.packed_bytes(row) for row in kept]


@pytest.mark.parametrize("names", [(), ("arms",), ("head", "arms")])
def test_part_refuses_names_that_the_layout_lacks(names: tuple[str, ...]) -> None:
    with pytest.raises(CodesError, match="global"):
        pack_bits(np.ones((1, 16), np.bool_), LAYOUT).part(*names)


def runs_of(names: str) -> tuple[Part, ...]:
    """The layout of bits each of which is named by a letter: a run for each stretch of one letter."""
    starts = [i for i, name in enumerate(names) if i == 0 or name != names[i - 1]]
    return tuple(Part(names[start], start, stop) for start, stop in zip(starts, [*starts[1:], len(names)], strict=True))


nested = st.sampled_from([16, 24, 32]).flatmap(lambda n: st.tuples(texts(n), st.text("abc", min_size=n, max_size=n)))
"""Codes as text, and the name of each of their bits' part, which may come anywhere."""


@given(nested, st.sets(st.sampled_from("abc"), min_size=1))
def test_a_part_may_lie_in_several_runs(codes: tuple[list[str], str], wanted: set[str]) -> None:
    rows, names = codes
    whole = pack_bits(as_bits(rows), runs_of(names))
    assert part_sizes(whole.parts) == {name: names.count(name) for name in names}
    assert part_mask(whole.parts, wanted).tolist() == [name in wanted for name in names]
    kept = ["".join(bit for bit, name in zip(row, names, strict=True) if name in wanted) for row in rows]
    if wanted <= set(names):
        assert whole.part(*wanted).packed.tolist() == [reference.packed_bytes(row) for row in kept]
    else:
        with pytest.raises(CodesError, match="one or more of the parts"):
            whole.part(*wanted)


@given(nested, st.sampled_from([8, 16]))
def test_a_prefix_keeps_the_layout_of_its_bits(codes: tuple[list[str], str], n_bits: int) -> None:
    rows, names = codes
    prefix = pack_bits(as_bits(rows), runs_of(names)).prefix(n_bits)
    assert prefix.parts == runs_of(names[:n_bits])
    for name in set(names[:n_bits]):
        kept = ["".join(row[i] for i in range(n_bits) if names[i] == name) for row in rows]
        assert prefix.part(name).packed.tolist() == [reference.packed_bytes(row) for row in kept]


@given(nested)
def test_interleaving_takes_all_runs_of_a_part(codes: tuple[list[str], str]) -> None:
    names = codes[1]
    order = order_of(runs_of(names))
    assert sorted(order) == list(range(len(names)))
    assert reference.greatest_gap("".join(names[bit] for bit in order)) < 1


def parts_of(sizes: list[int]) -> tuple[Part, ...]:
    """Parts a, b, c ... of these numbers of bits, the last filled up to whole bytes."""
    stops = np.cumsum([*sizes[:-1], sizes[-1] + -sum(sizes) % 8]).tolist()
    return tuple(
        Part(chr(ord("a") + i), start, stop) for i, (start, stop) in enumerate(zip([0, *stops], stops, strict=False))
    )


def order_of(parts: tuple[Part, ...]) -> list[int]:
    """Where `interleaved` takes each of its bits from: codes of a single bit each say where it went."""
    bits = unpack(pack_bits(np.eye(parts[-1].stop, dtype=np.bool_), parts).interleaved())
    return [int(bit) for bit in bits.argmax(axis=0)]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8).map(parts_of))
@example(parts_of([32, 16, 16, 16, 16, 16, 16]))
@example(parts_of([64, *[8] * 24]))  # many equal stripes, which must not crowd out the global part
def test_interleaved_prefixes_have_their_share_of_every_part(parts: tuple[Part, ...]) -> None:
    order = order_of(parts)
    assert sorted(order) == list(range(parts[-1].stop))
    names = "".join(part.name * part.n_bits for part in parts)
    assert reference.greatest_gap("".join(names[bit] for bit in order)) < 1


@given(texts(16))
def test_interleaving_keeps_all_distances(rows: list[str]) -> None:
    whole = pack_bits(as_bits(rows), LAYOUT)
    order = order_of(LAYOUT)
    found = whole.interleaved()
    assert found.packed.tolist() == [reference.packed_bytes("".join(row[bit] for bit in order)) for row in rows]
    assert found.parts == ()
    assert hamming_distances(found, found).tolist() == [[reference.hamming_distance(a, b) for b in rows] for a in rows]


def test_codes_without_parts_are_not_interleaved() -> None:
    codes = pack_bits(np.eye(8, dtype=np.bool_))
    assert codes.interleaved() is codes


def test_rows_keep_length_and_layout() -> None:
    codes = pack_bits(np.eye(4, 16, dtype=np.bool_), LAYOUT)
    rows = codes[np.array([2, 0])]
    assert (rows.n_bits, rows.parts) == (16, LAYOUT)
    assert rows.packed.tolist() == codes.packed[[2, 0]].tolist()
    assert len(codes[np.array([True, False, True, True])]) == 3


def test_codes_become_contiguous() -> None:
    wide = np.arange(8, dtype=np.uint8).reshape(2, 4)
    codes = Codes(wide[:, ::2], 16)
    assert codes.packed.flags.c_contiguous
    assert codes.packed.tolist() == [[0, 2], [4, 6]]


@pytest.mark.parametrize(
    ("packed", "n_bits"),
    [
        (np.zeros((2, 2), np.uint8), 8),
        (np.zeros((2, 2), np.uint8), 15),
        (np.zeros((2, 0), np.uint8), 0),
        (np.zeros(2, np.uint8), 16),
        (np.zeros((2, 2), np.int8), 16),
    ],
)
def test_codes_refuse_arrays_that_do_not_fit(packed: npt.NDArray[np.uint8], n_bits: int) -> None:
    with pytest.raises(CodesError, match="expected"):
        Codes(packed, n_bits)


@pytest.mark.parametrize(
    "parts",
    [
        (Part("a", 0, 8),),
        (Part("a", 0, 8), Part("b", 9, 16)),
        (Part("a", 0, 9), Part("b", 8, 16)),
        (Part("b", 8, 16), Part("a", 0, 8)),
        (Part("a", 1, 16),),
        (),
    ],
)
def test_a_layout_covers_all_bits_once(parts: tuple[Part, ...]) -> None:
    with pytest.raises(CodesError, match="parts"):
        check_layout(parts, 16)


def test_codes_check_their_layout() -> None:
    with pytest.raises(CodesError, match="bits 0 to 24"):
        pack_bits(np.ones((1, 24), np.bool_), LAYOUT)


@pytest.mark.parametrize(("start", "stop"), [(8, 8), (8, 4), (-1, 8)])
def test_a_part_holds_at_least_one_bit(start: int, stop: int) -> None:
    with pytest.raises(CodesError, match="at least one bit"):
        Part("head", start, stop)


@pytest.mark.parametrize("shape", [(8,), (1, 2, 8), (2, 12)])
def test_pack_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(CodesError, match="expected features of shape"):
        pack(np.zeros(shape, np.float32))


@pytest.mark.parametrize("bits", [np.zeros(8, np.bool_), np.zeros((2, 8), np.uint8)])
def test_pack_bits_refuses_what_is_not_a_table_of_booleans(bits: Bits) -> None:
    with pytest.raises(CodesError, match="expected bits of shape"):
        pack_bits(bits)


@pytest.mark.parametrize("rows_at_once", [4096, 2])
@given(rows=texts(8, min_rows=2))
def test_bit_statistics_match_counts(rows_at_once: int, rows: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bitreid.codes._STATISTICS_ROWS", rows_at_once)
        found = bit_statistics(pack_bits(as_bits(rows)))
    np.testing.assert_allclose(found.balance, [reference.share_of_ones(rows, bit) for bit in range(8)])
    assert found.mean_correlation == pytest.approx(reference.mean_absolute_correlation(rows), abs=1e-9)
    assert found.distinct == len(set(rows))
    assert found.entropy == pytest.approx(reference.entropy(rows), abs=1e-9)
    assert found.collisions == pytest.approx(reference.share_of_equal_pairs(rows))


def test_codes_that_fill_the_last_byte_with_zeros_have_the_statistics_of_their_bits() -> None:
    bits = np.random.default_rng(0).random((50, 16)) < 0.5
    padded, whole = bit_statistics(pack_bits(bits[:, :11])), bit_statistics(pack_bits(bits))
    live = reference.mean_absolute_correlation(["".join("01"[bit] for bit in row) for row in bits[:, :11].astype(int)])
    assert padded.mean_correlation == pytest.approx(live)
    assert padded.entropy <= whole.entropy <= math.log2(50)


def test_one_code_has_statistics_and_none_has_not() -> None:
    found = bit_statistics(pack_bits(as_bits(["01100000"])))
    assert found.balance.tolist() == [0, 1, 1, 0, 0, 0, 0, 0]
    assert (found.mean_correlation, found.distinct, found.entropy, found.collisions) == (0, 1, 0, 0)
    with pytest.raises(CodesError, match="at least 1"):
        bit_statistics(pack_bits(np.ones((0, 8), np.bool_)))
