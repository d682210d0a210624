"""Some rows of a source of molecules."""

from collections.abc import Sequence

from ...core.modality import Sample, Source


class MoleculePart(Source):
    """Some rows of a source."""

    def __init__(self, whole: Source, rows: Sequence[int], name: str) -> None:
        self.whole, self.rows, self.modality = whole, list(rows), whole.modality
        self.name = f"{whole.name} ({name})"
        self.keys = [whole.keys[row] for row in self.rows]
        self.labels, self.classes = None, ()

    def read(self, index: int) -> Sample:
        """The sample of that row."""
        return self.whole.read(self.rows[index])

    def fingerprint(self) -> str:
        """The sha256 of these rows."""
        from ..fingerprints import fingerprint

        return fingerprint(self)
