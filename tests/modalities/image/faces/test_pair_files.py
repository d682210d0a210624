"""`.bin` pair files: every way they were written, and every way they can be wrong."""

import lzma
import os
import pickle
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from masquerade.core.errors import DataError
from masquerade.modalities.image.decoding import Picture
from masquerade.modalities.image.faces.pair_files import read_pair_file


def jpeg(seed: int) -> bytes:
    buffer = BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    Pillow.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


PICTURES = [jpeg(seed) for seed in range(8)]
SAME = [True, False] * 6


def pictures() -> list[bytes]:
    """24 of 8 different ones: pair i is twice picture i, or pictures i and i + 1 (mod 8)."""
    return [PICTURES[(i + (k and not same)) % 8] for i, same in enumerate(SAME) for k in (0, 1)]


def written(path: Path, content: object, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["bytes", "arrays"])
def test_pairs_come_back_whatever_wrote_them(tmp_path: Path, protocol: int, kind: str) -> None:
    items: list = pictures()
    flags: list = SAME
    if kind == "arrays":  # as the older files of the field have them
        items = [np.frombuffer(item, np.uint8).reshape(-1, 1) for item in items]
        flags = [np.bool_(flag) for flag in SAME]
    pairs = read_pair_file(written(tmp_path / "lfw.bin", (items, flags), protocol))
    assert pairs.same.tolist() == SAME
    assert pairs.fold.tolist() == [0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert (pairs.name, pairs.template, pairs.identities) == ("lfw.bin", "arcface-112", None)
    for i, (first, second) in enumerate(zip(pairs.first, pairs.second, strict=True)):
        expected = pictures()[2 * i : 2 * i + 2]
        assert [pairs.source.read(int(row)).content.data for row in (first, second)] == expected


def test_equal_pictures_become_one(tmp_path: Path) -> None:
    pairs = read_pair_file(written(tmp_path / "lfw.bin", (pictures(), SAME)))
    assert len(pairs.source) == 8
    assert list(pairs.source.keys) == sorted(pairs.source.keys)
    assert pairs.first[0] == pairs.second[0]


def test_an_xz_file_is_the_same_pairs(tmp_path: Path) -> None:
    plain = read_pair_file(written(tmp_path / "lfw.bin", (pictures(), SAME)))
    packed = tmp_path / "lfw.bin.xz"
    packed.write_bytes(lzma.compress((tmp_path / "lfw.bin").read_bytes()))
    assert read_pair_file(packed).hash() == plain.hash()


def test_a_damaged_or_exploding_xz_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = lzma.compress(pickle.dumps((pictures(), SAME)))
    path = tmp_path / "lfw.bin.xz"
    for data in (packed[:-20], b"not xz", b"", packed[:60] + b"\0\0\0\0" + packed[64:]):
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"lfw.bin.xz is damaged"):
            read_pair_file(path)
    monkeypatch.setattr("masquerade.modalities.image.faces.pair_files._SMALL_BYTES", 1 << 20)
    path.write_bytes(lzma.compress(bytes(9 << 20)))
    with pytest.raises(DataError, match="unpack to more than 1048576"):
        read_pair_file(path)


class Runs:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple:
        return os.system, (self.command,)


@pytest.mark.parametrize("place", ["picture", "flag", "whole"])
def test_a_malicious_file_is_refused_and_nothing_runs(tmp_path: Path, place: str) -> None:
    witness = tmp_path / "ran"
    evil = Runs(f"touch {witness}")
    content = {
        "picture": ([*pictures()[:-1], evil], SAME),
        "flag": (pictures(), [*SAME[:-1], evil]),
        "whole": evil,
    }[place]
    with pytest.raises(DataError, match=r"refused .*lfw.bin: it asks for 'posix.system'"):
        read_pair_file(written(tmp_path / "lfw.bin", content))
    assert not witness.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((pictures()[:-1], SAME), "an odd number of pictures, 23"),
        ((pictures()[:-2], SAME), "11 pairs of pictures and 12 flags"),
        ((pictures(), SAME[:-1]), "12 pairs of pictures and 11 flags"),
        ((pictures()[:6], SAME[:3]), "3 pairs, expected at least 10"),
        (([], []), "0 pairs, expected at least 10"),
        ((pictures(), [*SAME[:-1], 2]), "flag 11: expected True or False, got 2"),
        ((pictures(), [*SAME[:-1], "True"]), "flag 11: expected True or False, got str"),
        (([*pictures()[:-1], "text"], SAME), "picture 23: expected bytes .* got str"),
        (([*pictures()[:-1], np.zeros(4)], SAME), "picture 23: expected bytes .* got ndarray"),
        ((b"pictures", SAME), "no lists of pictures and flags"),
        ([pictures(), SAME, []], "no pair of pictures and flags"),
        (7, "no pair of pictures and flags"),
    ],
)
def test_wrong_contents_are_named(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_pair_file(written(tmp_path / "lfw.bin", content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*none.bin: No such file"):
        read_pair_file(tmp_path / "none.bin")


def test_the_shared_file_is_ten_genuine_pairs(shared: Path) -> None:
    pairs = read_pair_file(shared / "data" / "faces" / "lfw_protocol" / "small_lfw.bin")
    assert pairs.same.tolist() == [True] * 10
    for row in range(len(pairs.source)):
        sample = pairs.source.read(row)
        assert Picture(sample.content, sample.key).pixels().shape == (112, 112, 3)
    with pytest.raises(DataError, match="10 genuine and 0 impostor pairs"):
        pairs.check_both_kinds()
