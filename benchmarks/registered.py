"""The registered hash of every version of every protocol: a changed protocol needs a new version.

`protocols.toml` is written by `python -m masquerade.benchmarks.registered` when a version is new.
The test-suite fails where a protocol's code has changed and its version has not.
"""

from functools import cache
from pathlib import Path

import tomli_w

from ..core.atomic_io import write_text
from ..core.config import tomllib
from ..core.errors import ValidationError
from .registry import BENCHMARKS, benchmark

REGISTER = Path(__file__).resolve().parent / "protocols.toml"
_HEAD = "# slug → version → sha256 of the protocol; see benchmarks/registered.py\n"


def registered_hash(slug: str, version: str) -> str | None:
    """The hash of a version of a protocol; None where it is not registered, as those of others."""
    return _register().get(slug, {}).get(version)


def changed_without_version() -> list[str]:
    """The protocols of this package whose code is not that of their registered version."""
    return [
        slug
        for slug in BENCHMARKS
        if registered_hash(slug, benchmark(slug).VERSION)
        not in (None, benchmark(slug).IDENTITY.hash())
    ]


def register(path: Path = REGISTER, *, replace: bool = False) -> list[str]:
    """Add the versions that are not registered yet.

    Args:
        path: the register.
        replace: also replace hashes of registered versions: before a release only, while nobody
            has records of them.

    Returns:
        "slug version" of each that was written.

    Raises:
        ValidationError: a registered version's code has changed.
    """
    known = {slug: dict(versions) for slug, versions in _register(path).items()}
    written = []
    for slug in BENCHMARKS:
        module = benchmark(slug)
        found, own = module.IDENTITY.hash(), known.setdefault(slug, {})
        before = own.get(module.VERSION)
        if before not in (None, found) and not replace:
            raise ValidationError(
                f"{slug} {module.VERSION}: code: found {found}, expected {before}",
                "raise its VERSION: its numbers may have changed",
            )
        if before != found:
            own[module.VERSION] = found
            written.append(f"{slug} {module.VERSION}")
    write_text(path, _HEAD + tomli_w.dumps(known))
    _register.cache_clear()
    return written


@cache
def _register(path: Path = REGISTER) -> dict[str, dict[str, str]]:
    return tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}


if __name__ == "__main__":
    import sys

    register(replace="--replace" in sys.argv[1:])
