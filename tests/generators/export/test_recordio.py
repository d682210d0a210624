"""RecordIO: read back in the way that mxnet.recordio and the usual face loaders do."""

import numbers
import struct
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from masquerade.core.errors import UsageError
from masquerade.generators.engine.dataset import SynthesizedSet
from masquerade.generators.engine.synthesis import synthesize
from masquerade.generators.export import recordio
from masquerade.generators.export.recordio import export_recordio, write_record

MAGIC = 0xCED7230A


def read_record(handle):
    """dmlc-core's reader: parts are joined, with the magic that was cut out between them."""
    parts = []
    while True:
        magic, word = struct.unpack("<II", handle.read(8))
        assert magic == MAGIC
        kind, length = word >> 29, word & (1 << 29) - 1
        parts.append(handle.read(length))
        handle.read(-length % 4)
        if kind in (0, 3):
            return struct.pack("<I", MAGIC).join(parts)
        assert kind == (1 if len(parts) == 1 else 2)


@dataclass
class Header:
    flag: int
    label: object
    id: int
    id2: int


def unpack(record):
    """mxnet.recordio.unpack."""
    header = Header(*struct.unpack("IfQQ", record[:24]))
    data = record[24:]
    if header.flag > 0:
        header.label = np.frombuffer(data, np.float32, header.flag)
        data = data[header.flag * 4 :]
    return header, data


class FaceLoader:
    """What the usual loaders do: record 0, its range of images, and the older ones' id2range."""

    def __init__(self, folder):
        lines = (folder / "train.idx").read_text().splitlines()
        self.places = {int(k): int(v) for k, v in (line.split("\t") for line in lines)}
        self.rec = (folder / "train.rec").open("rb")
        header, _ = unpack(self.read_idx(0))
        assert header.flag > 0
        self.header0 = int(header.label[0]), int(header.label[1])
        self.imgidx = list(range(1, self.header0[0]))
        self.id2range = {}
        for identity in range(*self.header0):
            header, _ = unpack(self.read_idx(identity))
            self.id2range[identity] = int(header.label[0]), int(header.label[1])

    def read_idx(self, number):
        self.rec.seek(self.places[number])
        return read_record(self.rec)

    def __getitem__(self, index):
        header, data = unpack(self.read_idx(self.imgidx[index]))
        label = header.label if isinstance(header.label, numbers.Number) else header.label[0]
        return np.asarray(Pillow.open(BytesIO(data))), int(label)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_face_loader_finds_every_picture_with_its_identity(request_for, tmp_path, suffix):
    synthesize(request_for(tmp_path / "set", 7, 3, format=suffix))
    dataset = SynthesizedSet(tmp_path / "set")
    export_recordio(dataset, tmp_path / "rec")
    loader = FaceLoader(tmp_path / "rec")
    assert loader.header0 == (22, 29)
    assert (tmp_path / "rec" / "property").read_text() == "7,16,16"
    for index, row in enumerate(dataset.rows()):
        picture, label = loader[index]
        assert label == row.identity
        assert (picture == dataset.picture(row)).all()
    assert list(loader.id2range.values()) == [(1 + 3 * i, 4 + 3 * i) for i in range(7)]
    assert len(loader.places) == 1 + 21 + 7


@given(st.lists(st.sampled_from([b"\x0a\x23\xd7\xce", b"\x0a", b"abc", b"\x00" * 4]), max_size=9))
def test_data_that_holds_the_magic_comes_back(parts):
    handle = BytesIO()
    for data in (b"".join(parts), b"next"):
        write_record(handle, data)
    handle.seek(0)
    assert read_record(handle) == b"".join(parts)
    assert read_record(handle) == b"next"
    assert handle.read() == b""


def test_magic_on_a_multiple_of_four_stands_only_at_the_start_of_parts():
    """By hand: a reader that seeks the magic to find a record's start must not find data."""
    handle = BytesIO()
    write_record(handle, b"\x01" * 4 + struct.pack("<I", MAGIC) + b"\x02" * 3)
    words = struct.unpack("<6I", handle.getvalue())
    assert words == (MAGIC, 1 << 29 | 4, 0x01010101, MAGIC, 3 << 29 | 3, 0x00020202)


def test_what_the_format_cannot_hold_is_refused(request_for, finished, tmp_path, monkeypatch):
    synthesize(request_for(tmp_path / "webp", 2, 2, format="webp"))
    with pytest.raises(UsageError, match="WebP"):
        export_recordio(SynthesizedSet(tmp_path / "webp"), tmp_path / "rec")
    monkeypatch.setattr(recordio, "_EXACT", 60)
    with pytest.raises(UsageError, match="exact up to 60 records"):
        export_recordio(SynthesizedSet(finished), tmp_path / "rec")
    assert not (tmp_path / "rec").exists()
