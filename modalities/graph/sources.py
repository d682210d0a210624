"""What lies at a path: Planetoid, TU, OGB, GIN text, molecules, or arrays."""

from pathlib import Path

from ...core.errors import DataError
from ...core.modality import Source
from .gin_text import is_gin_text, open_gin_text
from .molecules import SUFFIXES, open_molecules
from .npz import is_graph_npz, open_npz
from .ogb import is_ogb, open_ogb
from .planetoid import open_planetoid, planetoid_names
from .tu import open_tu, tu_name

UNDIRECTED = "undirected"
_LONGEST_HEADING = 1 << 16
_KNOWN = (
    "a folder of Planetoid files (ind.NAME.graph, …), a TU folder (NAME_A.txt, …), an OGB folder "
    "(raw/edge.csv, …), a GIN text file, SMILES (.smi, .csv with a column smiles) or an .npz with "
    "'edges' and 'x'"
)


def split_name(path: Path) -> tuple[Path, str | None]:
    """A path and what stands after its '#'."""
    text = str(path)
    if path.exists() or "#" not in text:
        return path, None
    before, _, after = text.rpartition("#")
    return Path(before), after or None


def recognised(path: Path) -> bool:
    """Whether graphs lie at a path."""
    path, _ = split_name(path)
    if path.is_dir():
        return bool(planetoid_names(path)) or tu_name(path) is not None or is_ogb(path)
    if not path.is_file():
        return False
    if path.suffix == ".npz":
        return is_graph_npz(path)
    if path.suffix == ".csv":  # a list of videos is one, too
        return _has_smiles(path)
    return path.name.endswith(SUFFIXES) or (path.suffix == ".txt" and is_gin_text(path))


def _has_smiles(path: Path) -> bool:
    """Whether a table's heading has the column of molecules."""
    with path.open(encoding="utf-8", errors="replace") as file:
        heading = file.readline(_LONGEST_HEADING).lower().split(",")
    return "smiles" in [title.strip(' \t\r\n"\ufeff') for title in heading]


def open_source(path: Path) -> Source:
    """The graphs at a path.

    `FOLDER#cora` names one of several Planetoid sets, `FILE.csv#COLUMN` what was measured, and
    `#undirected` lets a TU folder or GIN text list edges in one direction only.

    Raises:
        DataError: nothing there, or nothing that can be read.
    """
    path, part = split_name(Path(path))
    if not path.exists():
        raise DataError(f"{path} does not exist", "check the path given to --data")
    if path.is_dir() and (names := planetoid_names(path)):
        return open_planetoid(path, _one(path, names, part))
    if path.is_file() and path.name.endswith(SUFFIXES):
        return open_molecules(path, part)
    name = tu_name(path) if path.is_dir() else None
    gin = path.is_file() and path.suffix == ".txt" and is_gin_text(path)
    one_way = part == UNDIRECTED and (name is not None or gin)
    if part is not None and not one_way:
        raise DataError(f"{path} has no part {part!r}", f"leave out '#{part}'")
    if name is not None:
        return open_tu(path, name, one_way=one_way)
    if gin:
        return open_gin_text(path, one_way=one_way)
    if path.is_dir() and is_ogb(path):
        return open_ogb(path)
    if path.suffix == ".npz":
        return open_npz(path)
    raise DataError(f"{path} holds no graphs that can be read", f"known are {_KNOWN}")


def _one(path: Path, names: list[str], wanted: str | None) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted not in names:
        what = "several graphs" if wanted is None else f"no graph {wanted!r}"
        raise DataError(
            f"{path} holds {what}", f"choose one: {', '.join(f'{path.name}#{n}' for n in names)}"
        )
    return wanted
