"""Pickles as data: what Python writes is read back, what asks for anything else is refused."""

import os
import pickle
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from masquerade.core.errors import DataError
from masquerade.core.pickled_data import read_pickled_data

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.lists(inner, max_size=5).map(tuple),
    max_leaves=12,
)  # fmt: skip


@given(plain, st.sampled_from(PROTOCOLS))
def test_plain_values_come_back_as_they_were(value: object, protocol: int) -> None:
    found = read_pickled_data(pickle.dumps(value, protocol), "it")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numpy_arrays_and_scalars_come_back_as_they_were(protocol: int) -> None:
    arrays = [
        np.arange(6, dtype=np.uint8).reshape(6, 1), np.array([True, False]),
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)), np.empty((0, 2), "<i8"),
    ]  # fmt: skip
    # the second mention of each is a reference into the memo
    found = read_pickled_data(
        pickle.dumps((arrays, [np.bool_(True), np.int64(-3)], arrays), protocol), "it"
    )
    for got, expected in zip((*found[0], *found[2]), (*arrays, *arrays), strict=True):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    assert found[1] == [True, -3]


def test_texts_of_python_2_are_bytes() -> None:
    # pickle.dumps(['\xff\xd8', True], 2) and …, 0) of Python 2.7
    assert read_pickled_data(b"\x80\x02]q\x00(U\x02\xff\xd8q\x01\x88e.", "it") == [
        b"\xff\xd8",
        True,
    ]
    assert read_pickled_data(b"(lp0\nS'ab'\np1\naI01\na.", "it") == [b"ab", True]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_dictionaries_come_back_as_they_were(protocol: int) -> None:
    graph = defaultdict(list, {0: [1, 2], 1: [0], "x": [{}]})
    found = read_pickled_data(pickle.dumps([graph, {}], protocol), "it")
    assert found == [dict(graph), {}]
    assert read_pickled_data(b"(dp0\nI1\nI2\ns.", "it") == {1: 2}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_sparse_matrices_come_back_as_they_were(protocol: int) -> None:
    matrix = csr_matrix(np.array([[0, 2.5, 0], [0, 0, 0], [1, 0, 3]], dtype=np.float32))
    found = read_pickled_data(pickle.dumps(matrix, protocol), "it")
    assert found.shape == (3, 3)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.toarray(), matrix.toarray())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indices": np.array([0, 7, 2], dtype=np.int32)}, "names column 7"),
        ({"indptr": np.array([0, 2, 1, 3], dtype=np.int32)}, "overlap"),
        ({"indptr": np.array([0, 3], dtype=np.int32)}, "2 row pointers"),
        ({"data": np.ones(2, dtype=np.float32)}, "row pointers"),
    ],
)
def test_a_sparse_matrix_that_does_not_fit_together_is_refused(
    change: dict[str, np.ndarray], message: str
) -> None:
    matrix = csr_matrix(np.array([[0, 2.5, 0], [0, 0, 0], [1, 0, 3]], dtype=np.float32))
    for name, value in change.items():
        setattr(matrix, name, value)
    with pytest.raises(DataError, match=message):
        read_pickled_data(pickle.dumps(matrix, 2), "it")


class Runs:
    """Unpickled by Python, it runs a command."""

    def __init__(self, call: object, *arguments: object) -> None:
        self.reduced = (call, arguments)

    def __reduce__(self) -> tuple:
        return self.reduced


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("call", [os.system, eval, __import__, np.load, getattr, pickle.loads])
def test_a_malicious_pickle_is_refused_and_runs_nothing(
    call: object, protocol: int, tmp_path: Path
) -> None:
    witness = tmp_path / "ran"
    for argument in (f"touch {witness}", f"open({str(witness)!r}, 'w')"):
        data = pickle.dumps(([b"picture"], [True], Runs(call, argument)), protocol)
        with pytest.raises(DataError, match=r"refused lfw.bin: it asks for '.*no code is run"):
            read_pickled_data(data, "lfw.bin")
    assert not witness.exists()
    pickle.loads(pickle.dumps(Runs(os.system, f"touch {witness}"), protocol))  # it would have run
    assert witness.exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps(Path("x")), "it asks for 'pathlib"),
        (pickle.dumps({1}, 4), "the opcode EMPTY_SET"),
        (b"(ios\nsystem\n.", "the opcode INST"),
        (b"cnumpy\nndarray\n)\x81.", "makes an object of something that is no sparse matrix"),
        (b"(cnumpy\nndarray\no.", "the opcode OBJ"),
        (b"\x82\x01.", "the opcode EXT1"),
        (b"P7\n.", "the opcode PERSID"),
        (b"cnumpy\nndarray\n(tR.", "calls something that is no function"),
        (b"]K\x01\x85R.", "calls something that is no function"),
        (b"]K\x01b.", "sets the state"),
        (pickle.dumps(np.array([None, {}], dtype=object)), "other items than plain"),
        (pickle.dumps(np.array(["a"])), "other items than plain"),
        (pickle.dumps(np.arange(3, dtype=">i8")), "other items than plain"),
        (pickle.dumps(np.array([np.datetime64(0, "s")])), "refused it"),
        (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00rottR.", "the opcode|encodes"),
    ],
)  # fmt: skip
def test_anything_but_plain_data_is_refused_by_name(data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_pickled_data(data, "it")


@pytest.mark.parametrize(
    "data",
    [
        b"", b".", b"K", b"K\x01", b"K\x01K\x02.", b"a.", b"(.", b"h\x05.", b"K\x01a.",
        b"\xff", b"I" + b"9" * 5000 + b"\n.", b"B\xff\xff\xff\xff.", b"K\x01t.",
        b"]cnumpy\nndarray\na.", b"cnumpy\nndarray\n.", b"(cnumpy\nndarray\nl.",
        b"X\x01\x00\x00\x00\xff.", pickle.dumps([b"x"] * 50)[:-9], b"not a pickle at all",
    ],
)  # fmt: skip
def test_a_damaged_pickle_is_a_data_error(data: bytes) -> None:
    with pytest.raises(DataError, match="it"):
        read_pickled_data(data, "it")


def test_an_array_without_its_bytes_is_refused() -> None:
    whole = pickle.dumps(np.arange(8, dtype=np.uint8), 2)
    assert whole.count(b"K\x08\x85") == 1  # its shape (8,)
    with pytest.raises(DataError, match="an array of 9 uint8 has 8 bytes"):
        read_pickled_data(whole.replace(b"K\x08\x85", b"K\x09\x85"), "it")


def test_deep_nesting_is_no_recursion() -> None:
    deep = b"]" + b"\x85" * 200_000 + b"."
    found = read_pickled_data(deep, "it")
    for _ in range(200_000):
        (found,) = found
    assert found == []


SEED = pickle.dumps(
    ([b"\xff\xd8\xff" * 9, np.arange(20, dtype=np.uint8)], [True, np.bool_(False)]), 2
)


@settings(max_examples=1000)
@given(st.data())
def test_mutated_pickles_give_plain_values_or_a_data_error(data: st.DataObject) -> None:
    mutated = bytearray(SEED)
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([None, None, data.draw(st.integers(0, len(mutated)))]))
    try:
        read_pickled_data(bytes(mutated[:cut]), "it")
    except DataError as error:
        assert len(error.message) < 2000
