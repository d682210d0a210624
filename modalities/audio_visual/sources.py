"""What lies at a path: folders, lists, tar shards and single files of video or of sound."""

from pathlib import Path

from ...core.errors import DataError
from ...core.modality import Sample, Source
from ..files import FileKind
from ..fingerprints import fingerprint
from ..folders import FileSource, open_file, open_folder, split_of
from ..image.decoding import SUFFIXES as PICTURES
from ..packing import is_pack
from ..shards import ShardSource
from ..video.files import SUFFIXES as VIDEO_SUFFIXES
from ..video.files import VideoFile, on_disk
from ..video.lists import LISTS, ListSource
from .recording import Recording
from .sound import SUFFIXES, SoundFile


def recording_at(path: Path) -> Recording:
    """A sound file; or a video with the sound file of its name beside it, else its own track."""
    if path.suffix.lower() in SUFFIXES:
        return Recording(None, SoundFile(str(path), path))
    return _with_sound(on_disk(path))


def _with_sound(video: VideoFile) -> Recording:
    beside = (video.path.with_suffix(suffix) for suffix in sorted(SUFFIXES))
    sound = next((path for path in beside if path.is_file()), None)
    return Recording(video, video if sound is None else SoundFile(str(sound), sound))


RECORDINGS = FileKind("audio-visual", VIDEO_SUFFIXES | SUFFIXES, recording_at)


class ListedRecordings(Source):
    """The videos and sounds that a list names (`video.lists`)."""

    modality = "audio-visual"

    def __init__(self, path: Path) -> None:
        """Read the list.

        Raises:
            DataError: as `ListSource`.
        """
        self._list = ListSource(path)
        self.name, self.keys = self._list.name, self._list.keys
        self.labels, self.classes = self._list.labels, self._list.classes

    def read(self, index: int) -> Sample:
        """The recording, not yet opened."""
        listed = self._list.read(index)
        file: VideoFile = listed.content
        if file.path.suffix.lower() in SUFFIXES:
            return Sample(listed.key, recording_at(file.path), listed.label)
        return Sample(listed.key, _with_sound(file), listed.label)

    def fingerprint(self) -> str:
        """The sha256 of all keys, labels and files."""
        return fingerprint(self)


def open_source(path: Path) -> Source:
    """The recordings at a path; `FOLDER#SPLIT` names a sub-folder.

    Raises:
        DataError: nothing there, or nothing that can be read.
    """
    path, split = split_of(Path(path))
    if not path.exists():
        raise DataError(f"{path} does not exist", "check the path given to --data")
    if path.is_file():
        return _open_one(path, split)
    if split is not None:
        if not (path / split).is_dir():
            raise DataError(f"{path} has no sub-folder {split!r}", "check the part after '#'")
        path = path / split
    if is_pack(path):
        raise DataError(f"{path} is a pack, and packs hold no sound", "use the files as they are")
    shards = sorted(path.glob("*.tar"))
    return ShardSource(str(path), shards, RECORDINGS) if shards else _open_folder(path)


def holds_sounds(path: Path) -> bool:
    """Whether the first file there whose name is known is a sound."""
    path, split = split_of(path)
    path = path if split is None else path / split
    if not path.is_dir():
        return path.suffix.lower() in SUFFIXES
    known = VIDEO_SUFFIXES | SUFFIXES | PICTURES
    suffixes = (each.suffix.lower() for each in path.rglob("*"))
    return next((suffix for suffix in suffixes if suffix in known), None) in SUFFIXES


def _open_one(path: Path, split: str | None) -> Source:
    if split is not None:
        raise DataError(f"{path} has no splits", f"leave out '#{split}'")
    suffix = path.suffix.lower()
    if suffix == ".tar":
        return ShardSource(str(path), [path], RECORDINGS)
    if suffix in LISTS:
        return ListedRecordings(path)
    if suffix in RECORDINGS.suffixes:
        return open_file(path, RECORDINGS)
    raise DataError(
        f"{path} is no video, sound, list or .tar file",
        f"known are .tar {' '.join(sorted(LISTS | RECORDINGS.suffixes))}, and folders",
    )


def _open_folder(path: Path) -> Source:
    """The folder's recordings; a sound beside the video of its name is that one's, no sample."""
    found = open_folder(path, RECORDINGS)
    videos = {_stem(f) for f in found.files if Path(f).suffix.lower() in VIDEO_SUFFIXES}
    own = [
        f for f in found.files if Path(f).suffix.lower() not in SUFFIXES or _stem(f) not in videos
    ]
    return FileSource(found.name, found.root, own, RECORDINGS, found.classes)


def _stem(file: str) -> str:
    return file[: -len(Path(file).suffix)]
