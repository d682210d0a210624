"""Readers of shapes: every format gives the same points, and damage gives one sentence."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from masquerade.core.errors import DataError
from masquerade.core.extras import installed, require
from masquerade.modalities.catalogue import resolve_data
from masquerade.modalities.files import Encoded
from masquerade.modalities.point_cloud import PointCloud
from masquerade.modalities.point_cloud.files import read_shape
from masquerade.modalities.point_cloud.sources import open_source

sys.path.insert(0, str(Path(__file__).parent))
from shape_files import FACES, TETRAHEDRON, cloud, obj, off, pcd, ply, xyz  # noqa: E402

BINARY = ("binary_little_endian", "binary_big_endian")
POINTS = cloud()
CLOUD_FILES = {
    "a.ply": ply(POINTS),
    "b.ply": ply(POINTS, kind=BINARY[0]),
    "c.ply": ply(POINTS, kind=BINARY[1], colours=True),
    "d.ply": ply(POINTS, colours=True),
    "a.pcd": pcd(POINTS),
    "b.pcd": pcd(POINTS, "binary"),
    "c.pcd": pcd(POINTS, "binary_compressed"),
    "a.xyz": xyz(POINTS),
    "b.xyz": xyz(POINTS).replace(b" ", b", "),
}
MESH_FILES = {
    "a.ply": ply(TETRAHEDRON, FACES.tolist()),
    "b.ply": ply(TETRAHEDRON, FACES.tolist(), BINARY[0]),
    "c.ply": ply(TETRAHEDRON, FACES.tolist(), BINARY[1], colours=True),
    "a.off": off(TETRAHEDRON, FACES.tolist()),
    "b.off": off(TETRAHEDRON, FACES.tolist()).replace(b"OFF\n", b"OFF"),
    "a.obj": obj(TETRAHEDRON, FACES.tolist()),
}


def read(name, data):
    return read_shape(Encoded(name, data))


@pytest.mark.parametrize("name", CLOUD_FILES)
def test_every_format_gives_the_same_cloud(name):
    found = read(name, CLOUD_FILES[name])
    np.testing.assert_allclose(found.points, POINTS, rtol=1e-6)
    assert found.faces is None


@pytest.mark.parametrize("name", MESH_FILES)
def test_every_format_gives_the_same_mesh(name):
    found = read(name, MESH_FILES[name])
    assert found.points.tolist() == TETRAHEDRON.tolist()
    assert found.faces.tolist() == FACES.tolist()


@pytest.mark.parametrize("name", ["a.ply", "b.ply", "a.off", "a.obj"])
def test_polygons_become_fans(name):
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float32)
    faces = [[0, 1, 2, 3]]
    kind = BINARY[0] if name == "b.ply" else "ascii"
    make = {".ply": lambda p, f: ply(p, f, kind), ".off": off, ".obj": obj}[name[1:]]
    assert read(name, make(square, faces)).faces.tolist() == [[0, 1, 2], [0, 2, 3]]


def test_faces_may_count_from_the_end_in_obj():
    text = obj(TETRAHEDRON, []) + b"f -4 -3 -2\n"
    assert read("a.obj", text).faces.tolist() == [[0, 1, 2]]


def test_a_compressed_pattern_that_overlaps_itself():
    from masquerade.modalities.point_cloud.pcd import _lzf

    # by hand: literal "ab", then 7 bytes from 2 back
    assert _lzf(bytes([1]) + b"ab" + bytes([5 << 5, 1]), 9) == b"ababababa"


@pytest.mark.parametrize("name", ["a.off", "a.obj", "a.ply"])
def test_a_mesh_without_faces_is_the_cloud_of_its_corners(name):
    make = {".off": off, ".obj": obj, ".ply": ply}[name[1:]]
    found = read(name, make(TETRAHEDRON, []))
    assert found.faces is None
    assert found.points.tolist() == TETRAHEDRON.tolist()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.ply", b"", "no PLY"),
        ("a.ply", b"ply\nformat ascii 1.0\n", "end_header"),
        ("a.ply", ply(POINTS).replace(b"vertex 50", b"vertex 99999999999"), "declares more"),
        ("b.ply", ply(POINTS, kind=BINARY[0]).replace(b"50", b"51"), "declares 612 bytes"),
        ("a.ply", ply(POINTS).replace(b"vertex 50", b"vertex 0"), "no points"),
        ("a.ply", ply(POINTS).replace(b"float x", b"float w"), "damaged"),
        ("a.ply", ply(POINTS).replace(b"float x", b"quad x"), "damaged"),
        ("a.ply", ply(TETRAHEDRON, [[0, 1, 9]]), "corner 9 of 4"),
        ("a.pcd", pcd(POINTS)[:-200], "declares 50 points"),
        ("a.pcd", b"FIELDS x y z\n", "DATA"),
        ("b.pcd", pcd(POINTS, "binary")[:-1], "declares 800 bytes"),
        ("c.pcd", pcd(POINTS, "binary_compressed").replace(b"S 50", b"S 5000000"), "do not fit"),
        ("a.off", b"OFF\n3 1 0\n0 0 0\n", "does not have"),
        ("a.off", b"PLY\n", "begin with 'OFF'"),
        ("a.obj", b"# nothing\n", "no line 'v'"),
        ("a.obj", b"v 1 2\n", "no OBJ"),
        ("a.xyz", b"1 2 3\n1 two 3\n", "no point"),
        ("a.xyz", b"\n", "no points"),
        ("a.npy", b"\x93NUMPY", "no .npy"),
    ],
)
def test_damage_is_one_sentence_that_names_the_file(name, data, message):
    with pytest.raises(DataError, match=message) as caught:
        read(name, data)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_garbled_files_raise_nothing_but_our_error(data):
    names = sorted({*CLOUD_FILES, *MESH_FILES})
    name = data.draw(st.sampled_from(names))
    kept = bytearray(({**CLOUD_FILES, **MESH_FILES})[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(kept) - 1))
        kept[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
        kept = kept or bytearray(b"x")
    try:
        found = read(name, bytes(kept))
    except DataError:
        return
    assert found.points.ndim == 2
    assert len(found.points) > 0


@pytest.mark.skipif(not installed("open3d"), reason="open3d is not installed")
@pytest.mark.parametrize("name", CLOUD_FILES)
def test_open3d_reads_the_same(name, tmp_path):
    (tmp_path / name).write_bytes(CLOUD_FILES[name])
    theirs = require("open3d").io.read_point_cloud(str(tmp_path / name))
    if name == "b.xyz":
        pytest.skip("Open3D reads no commas")
    np.testing.assert_allclose(read(name, CLOUD_FILES[name]).points, theirs.points, rtol=1e-6)


# sources -----------------------------------------------------------------------------------------


def test_a_folder_of_classes_and_a_tar_of_it_have_the_same_clouds(tmp_path):
    import tarfile

    for label in ("chair", "lamp"):
        (tmp_path / "shapes" / label).mkdir(parents=True)
        for i, (name, data) in enumerate(sorted(CLOUD_FILES.items())[:3]):
            (tmp_path / "shapes" / label / f"{i}{Path(name).suffix}").write_bytes(data)
    source = open_source(tmp_path / "shapes")
    assert source.classes == ("chair", "lamp")
    assert source.labels.tolist() == [0, 0, 0, 1, 1, 1]
    with tarfile.open(tmp_path / "shapes.tar", "w") as tar:
        for path in sorted((tmp_path / "shapes").rglob("*.*")):
            tar.add(path, path.relative_to(tmp_path / "shapes").as_posix())
    packed = open_source(tmp_path / "shapes.tar")
    assert list(packed.keys) == list(source.keys)
    clouds = PointCloud(PointCloud.Config(points=16))
    for i in range(len(source)):
        one, other = (clouds.prepare(s.read(i), None)["points"] for s in (source, packed))
        assert (one == other).all()


def test_arrays_with_labels_names_splits_and_colours(tmp_path):
    points = np.stack([cloud(20, seed=i) for i in range(4)])
    np.savez(
        tmp_path / "a.npz", points=points, colors=np.zeros((4, 20, 3)),
        label=np.array(["cup", "hat", "cup", "hat"]), split=np.array(["train"] * 3 + ["test"]),
    )  # fmt: skip
    source = open_source(tmp_path / "a.npz#train")
    assert (source.classes, source.labels.tolist()) == (("cup", "hat"), [0, 1, 0])
    assert (source.read(2).content == points[2]).all()
    assert source.modality == "point-cloud"
    assert len(open_source(tmp_path / "a.npz")) == 4
    with pytest.raises(DataError, match="no split 'val'"):
        open_source(tmp_path / "a.npz#val")


def test_arrays_cut_by_offsets_and_grids(tmp_path):
    points = cloud(30)
    np.savez(tmp_path / "cut.npz", pos=points, offsets=np.array([0, 10, 30], np.int32))
    assert [len(s.content) for s in map(open_source(tmp_path / "cut.npz").read, (0, 1))] == [10, 20]
    grid = np.zeros((2, 4, 4, 4), bool)
    grid[:, 1, 2, 3] = True
    np.savez(tmp_path / "grid.npz", packed=np.packbits(grid.reshape(2, -1), axis=1))
    assert open_source(tmp_path / "grid.npz").read(1).content.tolist() == [[1.5, 2.5, 3.5]]
    np.save(tmp_path / "one.npy", points)
    np.save(tmp_path / "two.npy", np.stack([points, points]))
    assert [len(open_source(tmp_path / f"{n}.npy")) for n in ("one", "two")] == [1, 2]


@pytest.mark.skipif(not installed("h5py"), reason="h5py is not installed")
def test_h5_of_modelnet40(tmp_path):
    h5py = require("h5py")
    points = np.stack([cloud(20, seed=i) for i in range(3)])
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file["data"], file["label"] = points, np.array([[0], [2], [1]], np.uint8)
    source = open_source(tmp_path / "train.h5")
    assert source.labels.tolist() == [0, 2, 1]
    assert (source.read(1).content == points[1]).all()
    (tmp_path / "train.h5").write_bytes((tmp_path / "train.h5").read_bytes()[:700])
    with pytest.raises(DataError, match="damaged or no .h5"):
        open_source(tmp_path / "train.h5")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"colors": np.zeros((2, 3))}, "no clouds"),
        ({"points": np.zeros((2, 5, 2))}, "shape"),
        ({"points": np.zeros((0, 5, 3))}, "at least one"),
        ({"points": np.zeros((2, 5, 3)), "label": np.zeros(3, int)}, "3 labels for 2"),
        ({"points": np.zeros((2, 5, 3)), "label": np.array([0.5, 1])}, "whole numbers"),
        ({"points": np.zeros((5, 3)), "offsets": np.array([0, 9])}, "do not cut"),
        ({"packed": np.zeros((2, 5), np.uint8)}, "cubes"),
        ({"points": np.array([{}, {}])}, "pickled"),
    ],
)
def test_wrong_arrays_are_refused(arrays, message, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        open_source(tmp_path / "a.npz")


def test_paths_are_recognised(tmp_path):
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "a.ply").write_bytes(CLOUD_FILES["a.ply"])
    np.savez(tmp_path / "images.npz", images=np.zeros((2, 8, 8), np.uint8))
    np.savez(tmp_path / "clouds.npz", points=np.stack([POINTS, POINTS]))
    for path in (tmp_path / "shapes", tmp_path / "shapes" / "a.ply", tmp_path / "clouds.npz"):
        assert resolve_data(str(path)).modality == "point-cloud"
    assert resolve_data(str(tmp_path / "images.npz")).modality == "image"
    with pytest.raises(DataError, match="has no splits"):
        open_source(Path(f"{tmp_path}/shapes/a.ply#train"))


def test_real_files_are_read(shared):
    root = shared / "data" / "clouds"
    sizes = {
        "pcn_partial/car.pcd": (1511, None),
        "pcl_scans/milk.pcd": (13704, None),
        "pcl_scans/bunny.pcd": (397, None),
        "meshes/bathtub_0002.off": (700, 664),
    }
    for name, wanted in sizes.items():
        found = read(name, (root / name).read_bytes())
        assert (len(found.points), None if found.faces is None else len(found.faces)) == wanted
    with np.load(root / "pcl_scans" / "milk_xyz.npz") as file:
        ours = read("milk.pcd", (root / "pcl_scans" / "milk.pcd").read_bytes()).points
        wanted = file["points"]  # in another order
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], wanted[np.lexsort(wanted.T)])
