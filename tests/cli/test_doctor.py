"""`doctor`: broken packages are found and named, and only the needed ones fail it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from masquerade.cli.main import call
from masquerade.core import extras, health
from masquerade.core.errors import MissingExtra
from masquerade.core.health import Check, check_base, check_optional


def test_package_that_cannot_be_imported_is_broken_with_a_mend() -> None:
    check = check_base("no_such_module_xyz", "no-such-dist")
    assert check.state == "broken"
    assert "No module named 'no_such_module_xyz'" in check.detail
    assert check.mend == "pip install --upgrade --force-reinstall no-such-dist"
    assert check.fatal


def test_working_package_shows_its_version() -> None:
    import click

    check = check_base("click", "click")
    assert (check.state, check.detail) == ("ok", click.__version__)


def test_crash_at_import_is_reported_not_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that kills its process is one broken line, not the end of the report."""
    (tmp_path / "crashes.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    check = check_base("crashes", "crashes")
    assert (check.state, check.detail) == ("broken", "ended by signal 11")


def test_absent_extra_is_missing_and_not_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.OPTIONAL, "no_such_module_xyz", ("no-such-dist", "video"))
    check = check_optional("no_such_module_xyz")
    assert (check.state, check.fatal) == ("missing", False)
    assert check.mend == "pip install 'masquerade-suite[video]'"
    with pytest.raises(MissingExtra, match=r"masquerade-suite\[video\]"):
        extras.require("no_such_module_xyz")


def test_both_orders_of_faiss_and_torch_agree() -> None:
    for first, second in (("torch", "faiss"), ("faiss", "torch")):
        works, said = health.attempt(health._OPENMP.format(first=first, second=second))
        assert works, said
        assert said == "exact search and matmul agree"


def test_decoders_are_checked_by_decoding() -> None:
    works, said = health.attempt(health._DECODERS)
    assert works, said
    assert said == "decodes JPEG, PNG, WEBP, GIF"


@pytest.mark.parametrize(
    ("group", "state", "code"),
    [("base", "ok", 0), ("video", "missing", 0), ("video", "broken", 0), ("base", "broken", 1)],
)
def test_exit_code_follows_the_needed_packages(
    group: str, state: str, code: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def checks(_folder: Path, _more: object) -> Iterator[Check]:
        yield Check("thing", group, state, "1.0", "mend it")  # type: ignore[arg-type]

    monkeypatch.setattr(health, "checks", checks)
    assert call(["doctor", "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is (code == 0)
    assert found["checks"][0]["state"] == state


def test_optional_table_is_what_setup_offers() -> None:
    """Every optional package of setup.py can be asked for by its import name, and no other."""
    root = Path(health.__file__).resolve().parent.parent
    text = (root / "setup.py").read_text("utf-8")
    for distribution, _ in extras.OPTIONAL.values():
        assert f'"{distribution}' in text, distribution
    for distribution in health.BASE.values():
        assert f"{distribution}>=" in text or f"{distribution} " in text, distribution
