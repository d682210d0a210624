"""Folders, shards and arrays: what they hold, and one sentence for each thing wrong."""

import io
import json
import os
import pickle
import tarfile

import numpy as np
import pytest
from PIL import Image as Pillow

from masquerade.core.errors import DataError
from masquerade.modalities.image import Image
from masquerade.modalities.packs import pack_source


def add(tar, name, data, **facts):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in facts.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data))


def png(array):
    buffer = io.BytesIO()
    Pillow.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def write_shards(root, pictures, label=lambda name, number: (".cls", str(number))):
    """Two shards of the pictures, in an order of their own."""
    root.mkdir()
    classes = sorted({name for _, name in pictures.values()})
    for shard, keys in enumerate((sorted(pictures)[::2], sorted(pictures)[1::2])):
        with tarfile.open(root / f"shard-{shard:03d}.tar", "w") as tar:
            for key in reversed(keys):
                array, name = pictures[key]
                add(tar, f"{key}.png", png(array))
                if label is not None:
                    suffix, text = label(name, classes.index(name))
                    add(tar, f"{key}{suffix}", text.encode())
    return root


def write_npz(path, pictures, **more):
    keys = sorted(pictures)
    classes = sorted({name for _, name in pictures.values()})
    np.savez(
        path,
        images=np.stack([pictures[k][0] for k in keys]),
        labels=np.array([classes.index(pictures[k][1]) for k in keys]),
        classes=np.array(classes),
        keys=np.array(keys),
        **more,
    )
    return path


def test_folder_per_class_has_sorted_keys_labels_and_classes(folder, twelve):
    source = Image.open(folder)
    assert list(source.keys) == sorted(twelve)
    assert source.classes == ("astronaut", "chelsea", "rocket")
    assert source.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert source.read(5).label == 1
    assert source.read(5).content.data == (folder / "chelsea" / "1.png").read_bytes()


def test_flat_folder_has_no_classes(folder):
    source = Image.open(folder / "rocket")
    assert (list(source.keys), source.labels, source.classes) == (["0", "1", "2", "3"], None, ())


def test_same_stem_twice_keeps_the_suffix(folder, coffee):
    Pillow.fromarray(coffee).save(folder / "rocket" / "2.bmp")
    assert list(Image.open(folder / "rocket").keys) == ["0", "1", "2.bmp", "2.png", "3"]


def test_hidden_files_and_texts_are_no_samples(folder):
    (folder / ".cache").mkdir()
    (folder / "rocket" / "._1.png").write_bytes(b"x")
    (folder / "rocket" / "notes.txt").write_text("x")
    source = Image.open(folder)
    assert len(source) == 12
    assert len(source.classes) == 3


def test_folder_of_splits_asks_for_one(folder, tmp_path):
    for split in ("train", "test"):
        (tmp_path / "both" / split).parent.mkdir(exist_ok=True)
        (tmp_path / "both" / split).symlink_to(folder)
    with pytest.raises(DataError, match=r"holds the splits test, train.*both#test"):
        Image.open(tmp_path / "both")
    assert len(Image.open(tmp_path / "both" / "train")) == 12
    chosen = f"{tmp_path / 'both'}#test"
    assert len(Image.open(chosen)) == 12
    with pytest.raises(DataError, match="no sub-folder 'val'"):
        Image.open(tmp_path / "both#val")


def test_classes_and_loose_pictures_mixed_are_refused(folder, coffee):
    Pillow.fromarray(coffee).save(folder / "loose.png")
    with pytest.raises(DataError, match=r"both class folders .* loose images \(loose\.png"):
        Image.open(folder)


@pytest.mark.parametrize("name", ["missing", "missing#train", "missing.npz"])
def test_missing_path_is_one_sentence(tmp_path, name):
    with pytest.raises(DataError, match="does not exist"):
        Image.open(tmp_path / name)


def test_folder_without_images_is_one_sentence(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="no images in"):
        Image.open(tmp_path)
    (tmp_path / "class").mkdir()
    with pytest.raises(DataError, match="no images in"):
        Image.open(tmp_path)


def test_single_file_is_a_source_of_one(folder):
    source = Image.open(folder / "rocket" / "2.png")
    assert (list(source.keys), source.labels) == (["2"], None)


def test_unknown_file_is_one_sentence(tmp_path):
    (tmp_path / "x.xyz").write_text("x")
    with pytest.raises(DataError, match="is no image, .tar or .npz"):
        Image.open(tmp_path / "x.xyz")


@pytest.mark.parametrize(
    "label",
    [
        lambda name, number: (".cls", str(number)),
        lambda name, number: (".json", json.dumps({"label": number})),
        lambda name, number: (".json", json.dumps({"label": name})),
    ],
)
def test_shards_hold_the_same_samples_as_the_folder(tmp_path, folder, twelve, label):
    shards, files = Image.open(write_shards(tmp_path / "s", twelve, label)), Image.open(folder)
    assert list(shards.keys) == list(files.keys)
    assert shards.labels.tolist() == files.labels.tolist()
    for i in range(len(files)):
        assert shards.read(i).content.data == files.read(i).content.data
    assert shards.fingerprint() == files.fingerprint()


def test_one_shard_alone_and_without_labels(tmp_path, twelve):
    root = write_shards(tmp_path / "s", twelve, None)
    source = Image.open(root / "shard-001.tar")
    assert list(source.keys) == sorted(twelve)[1::2]
    assert source.labels is None


def test_labels_of_some_samples_only_are_refused(tmp_path, coffee):
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        add(tar, "a.png", png(coffee))
        add(tar, "a.cls", b"1")
        add(tar, "b.png", png(coffee))
    with pytest.raises(DataError, match="labels of 'a' and 'b' are of different kinds"):
        Image.open(tmp_path / "s.tar")


@pytest.mark.parametrize("text", ["one", "", "1.5", "{", "[" * 100_000])
def test_damaged_label_is_named(tmp_path, coffee, text):
    suffix = ".json" if text.startswith(("{", "[")) else ".cls"
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        add(tar, "a.png", png(coffee))
        add(tar, f"a{suffix}", text.encode())
    with pytest.raises(DataError, match="holds no label"):
        Image.open(tmp_path / "s.tar")


@pytest.mark.parametrize("text", ["-1", "99999999999"])
def test_label_out_of_range_is_refused(tmp_path, coffee, text):
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        add(tar, "a.png", png(coffee))
        add(tar, "a.cls", text.encode())
    with pytest.raises(DataError, match="count them from 0"):
        Image.open(tmp_path / "s.tar")


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "..\\e.png"])
def test_tar_member_that_leaves_its_folder_is_refused(tmp_path, coffee, name):
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        add(tar, "good.png", png(coffee))
        add(tar, name, png(coffee))
    with pytest.raises(DataError, match="leaves its folder"):
        Image.open(tmp_path / "s.tar")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.tar"]


def test_links_in_a_tar_are_not_followed(tmp_path, coffee):
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        add(tar, "good.png", png(coffee))
        add(tar, "link.png", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    assert list(Image.open(tmp_path / "s.tar").keys) == ["good"]


def test_key_in_two_shards_is_refused(tmp_path, coffee):
    for shard in "ab":
        with tarfile.open(tmp_path / f"{shard}.tar", "w") as tar:
            add(tar, "0001.png", png(coffee))
    with pytest.raises(DataError, match=r"b\.tar holds the key '0001' a second time"):
        Image.open(tmp_path)


def test_cut_or_damaged_shard_is_never_taken_for_a_short_one(tmp_path, twelve):
    shard = write_shards(tmp_path / "s", twelve) / "shard-000.tar"
    data = shard.read_bytes()
    with tarfile.open(shard) as tar:
        third = tar.getmembers()[2]
    broken = bytearray(data)
    broken[third.offset + 3] ^= 1  # tarfile alone would stop here without a word
    headers_only = data[: third.offset]  # ends between two members
    for wrong, reason in (
        (data[: third.offset_data + 10], "cut off"),
        (headers_only, "cut off"),
        (bytes(broken), "damaged"),
        (b"", "damaged"),
    ):
        shard.write_bytes(wrong)
        with pytest.raises(DataError, match=reason):
            Image.open(shard)


def test_shard_that_became_shorter_is_named(tmp_path, twelve):
    shard = write_shards(tmp_path / "s", twelve) / "shard-000.tar"
    source = Image.open(shard)
    os.truncate(shard, 100)
    with pytest.raises(DataError, match="became shorter"):
        source.read(0)


def test_npz_with_keys_and_classes(tmp_path, twelve):
    source = Image.open(write_npz(tmp_path / "a.npz", twelve))
    assert list(source.keys) == sorted(twelve)
    assert source.classes == ("astronaut", "chelsea", "rocket")
    assert np.array_equal(source.read(5).content, twelve[source.keys[5]][0])
    assert source.read(5).label == 1


@pytest.mark.parametrize("names", ["x_{0} y_{0}", "{0}_images {0}_labels"])
def test_npz_splits_are_chosen_behind_the_hash(tmp_path, names):
    arrays = {}
    for split, value, n in (("train", 10, 3), ("test", 20, 2)):
        image, label = names.format(split).split()
        arrays[image] = np.full((n, 4, 4, 3), value, np.uint8)
        arrays[label] = np.arange(n)
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=r"several splits; choose one: a\.npz#train, a\.npz#test"):
        Image.open(tmp_path / "a.npz")
    with pytest.raises(DataError, match=r"no split 'val' .*a\.npz#train"):
        Image.open(tmp_path / "a.npz#val")
    train, test = Image.open(tmp_path / "a.npz#train"), Image.open(tmp_path / "a.npz#test")
    assert (len(train), len(test)) == (3, 2)
    assert test.read(1).content[0, 0].tolist() == [20, 20, 20]
    assert not set(train.keys) & set(test.keys)  # their random draws must differ


def test_npz_of_cifar_is_read(shared):
    path = shared / "data" / "images" / "cifar10" / "cifar10_3k.npz"
    source = Image.open(f"{path}#test")
    assert len(source) == 600
    assert source.classes[3] == "cat"
    assert np.bincount(source.labels).tolist() == [60] * 10


@pytest.mark.parametrize(
    ("array", "value"),
    [
        (np.full((2, 3, 5, 5), 7, np.uint8), 7),  # channel first
        (np.full((2, 5, 5), 1.0, np.float64), 255),
        (np.full((2, 5, 5, 1), 257 * 9, np.uint16), 9),
    ],
)
def test_npz_of_other_types_becomes_uint8(tmp_path, array, value):
    np.savez(tmp_path / "a.npz", images=array)
    content = Image.open(tmp_path / "a.npz").read(1).content
    assert content.dtype == np.uint8
    assert content.shape[:2] == (5, 5)
    assert (content == value).all()


class Evil:
    """Runs code when unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("evil-was-here",))


def test_npz_with_pickled_objects_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", images=np.array([Evil()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="pickled objects"):
        Image.open(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError, match=r"no \.npz"):
        Image.open(tmp_path / "b.npz")
    assert not (tmp_path / "evil-was-here").exists()


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"other": np.zeros(3)}, "no images in .*it holds other"),
        ({"images": np.zeros((2, 4), np.uint8)}, "has the shape"),
        ({"images": np.zeros((0, 4, 4), np.uint8)}, "has the shape"),
        ({"images": np.full((2, 4, 4), 3.0)}, "expected uint8"),
        ({"images": np.zeros((2, 4, 4), np.uint8), "labels": np.zeros(3, int)}, "3 values"),
        (
            {
                "images": np.zeros((2, 4, 4), np.uint8),
                "labels": np.array([0, 2]),
                "classes": np.array(["a", "b"]),
            },
            "label 2 .* but 2 classes",
        ),
        (
            {"images": np.zeros((2, 4, 4), np.uint8), "keys": np.array(["a", "a"])},
            "1 different keys for 2",
        ),
    ],
)
def test_npz_with_wrong_arrays_says_what_is_wrong(tmp_path, arrays, reason):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=reason):
        Image.open(tmp_path / "a.npz")


def test_npz_whose_header_lies_takes_no_memory(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 4, 4), np.uint8))
    data = (tmp_path / "a.npz").read_bytes()
    assert b"(2, 4, 4)" in data
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        member = archive.read("images.npy").replace(b"(2, 4, 4), }  ", b"(9999999, 4, 4), }", 1)
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("images.npy", member)
    with pytest.raises(DataError, match="damaged"):
        Image.open(tmp_path / "b.npz")


@pytest.mark.parametrize("kind", ["folder", "shards", "npz", "pack"])
def test_every_source_survives_pickling(tmp_path, folder, twelve, kind):
    if kind == "shards":
        path = write_shards(tmp_path / "s", twelve)
    elif kind == "npz":
        path = write_npz(tmp_path / "a.npz", twelve)
    elif kind == "pack":
        path = tmp_path / "p"
        pack_source(Image.open(folder), path)
    else:
        path = folder
    source = Image.open(path)
    source.read(0)
    data = pickle.dumps(source)
    assert len(data) < 5000  # no pixels travel to the workers
    again = pickle.loads(data)
    assert again.keys == source.keys
    assert again.fingerprint() == source.fingerprint()
