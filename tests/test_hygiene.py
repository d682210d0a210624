"""The house's own rules: who imports whom, what loads when, sizes, examples, set-up lines."""

import ast
import re
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
import pytest

import masquerade
from masquerade.cli.main import COMMANDS, main

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("core", "modalities", "methods", "generators", "benchmarks", "leaderboards", "cli")
CODE = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))
TEXT = {".py", ".md", ".toml", ".cff", ".txt", ".cfg", ""}
HELP_LIMIT_S, IMPORT_LIMIT_S = 0.3, 0.1


def own_files() -> list[Path]:
    """Everything that is ours: what git tracks or would track, else the whole tree."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    names = done.stdout.splitlines() if done.returncode == 0 else []
    return [path for name in names if (path := ROOT / name).is_file()] or CODE


def imported(path: Path) -> set[tuple[str, ...]]:
    """The parts of each module of the package that a file imports, wherever it does so."""
    inside = path.relative_to(ROOT).with_suffix("").parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = (*inside[: len(inside) - node.level], *(node.module or "").split("."))
            found |= {(*(part for part in base if part), alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("masquerade"):
            found.add(tuple((node.module or "").split(".")[1:]))
        elif isinstance(node, ast.Import):
            found |= {
                tuple(alias.name.split(".")[1:])
                for alias in node.names
                if alias.name.split(".")[0] == "masquerade"
            }
    return {parts for parts in found if parts}


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_go_down(path: Path) -> None:
    own = LAYERS.index(path.relative_to(ROOT).parts[0])
    upward = {parts for parts in imported(path) if parts[0] in LAYERS[own + 1 :]}
    assert not upward


def test_import_reader_sees_an_upward_import(tmp_path: Path) -> None:
    """The check itself can fail: it reads relative imports inside functions too."""
    probe = ROOT / "core" / "no_such_file.py"  # only its place counts
    code = "def late():\n    from ..cli.main import run\n"
    node = ast.parse(code).body[0].body[0]  # type: ignore[attr-defined]
    assert isinstance(node, ast.ImportFrom)
    inside = probe.relative_to(ROOT).with_suffix("").parts
    assert (*inside[: len(inside) - node.level], *(node.module or "").split(".")) == ("cli", "main")


def test_methods_never_import_each_other() -> None:
    for path in sorted((ROOT / "methods").glob("*/*.py")):
        own = path.relative_to(ROOT).with_suffix("").parts
        others = {
            parts
            for parts in imported(path)
            if parts[0] == "methods" and len(parts) > 2 and parts[:3] != own
        }
        assert not others, f"{path.name} imports {others}"


def fastest(code: str, times: int = 5) -> float:
    """The least seconds that a fresh interpreter says the code took."""
    timed = f"import time; s = time.perf_counter()\n{code}\nprint(time.perf_counter() - s)"
    runs = [
        subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True)
        for _ in range(times)
    ]
    return min(float(run.stdout.splitlines()[-1]) for run in runs)


def test_package_imports_in_a_tenth_of_a_second_without_torch() -> None:
    """Measured 0.007 s."""
    code = "import sys, masquerade; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    assert fastest(code) < IMPORT_LIMIT_S


def test_help_answers_in_under_three_tenths_of_a_second() -> None:
    """Measured 0.05 s, interpreter included."""
    code = (
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'masquerade.cli.main', '--help'], check=True,"
        " stdout=subprocess.DEVNULL)"
    )
    assert fastest(code) < HELP_LIMIT_S


@pytest.mark.parametrize(
    "arguments",
    [["--help"], *[[name, "--help"] for name in COMMANDS], ["list"], ["list", "--json"]],
    ids=" ".join,
)
def test_help_and_list_never_import_torch(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom masquerade.cli.main import call\n"
        f"code = call({arguments!r})\n"
        "assert code == 0, code\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def members(name: str, group: click.Group) -> list[tuple[str, click.Command]]:
    """A group and everything below it, each with its full name."""
    context = click.Context(group, info_name=name)
    found: list[tuple[str, click.Command]] = [(name, group)]
    for short in group.list_commands(context):
        command = group.get_command(context, short)
        assert command is not None
        inner = isinstance(command, click.Group)
        found += members(f"{name} {short}", command) if inner else [(f"{name} {short}", command)]
    return found


COMMAND_TREE = members("masquerade", main)


@pytest.mark.parametrize(("name", "command"), COMMAND_TREE, ids=[n for n, _ in COMMAND_TREE])
def test_help_ends_with_an_example_that_parses(name: str, command: click.Command) -> None:
    text = (command.help or "").rstrip()
    *_, last = re.split(r"\n\s*\n", text)
    lines = [line.strip() for line in last.replace("\b", "").strip().splitlines()]
    assert lines[0] == "Example:", f"the help of `{name}` ends with: {last}"
    words = shlex.split(lines[1].rstrip("\\"))
    assert f"{lines[1]} ".startswith(f"{name} ") or isinstance(command, click.Group)
    known = dict(COMMAND_TREE)
    depth = max(n for n in range(1, len(words) + 1) if " ".join(words[:n]) in known)
    target = known[" ".join(words[:depth])]
    target.make_context(target.name, words[depth:])  # a wrong option raises


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_is_within_its_size(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 400


def test_nothing_prints_outside_the_command_line() -> None:
    for path in CODE:
        if path.relative_to(ROOT).parts[0] == "cli":
            continue
        calls = [
            node.lineno
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
        ]
        assert not calls, f"{path} prints in lines {calls}"


def test_nothing_unpickles() -> None:
    """Only torch's restricted reader (`weights_only=True`) may see what came from outside."""
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                assert not {"pickle", "dill", "joblib"} & {a.name for a in node.names}, path
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "load"
                and isinstance(node.func.value, ast.Name)
            ):
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                if node.func.value.id == "torch":
                    assert given.get("weights_only") == "True", f"{path}:{node.lineno}"
                if node.func.value.id in {"np", "numpy"}:
                    assert given.get("allow_pickle", "False") == "False", f"{path}:{node.lineno}"


def test_nothing_names_a_machine() -> None:
    # put together, so that this file does not find itself
    folders = ["/" + "work/", "/" + "tmp/w/", "/" + "root/", "/" + "home/", "/" + "opt/pypi"]
    pattern = re.compile("|".join(map(re.escape, folders)))
    for path in own_files():
        if path.suffix in TEXT and path.name != "LICENSE":
            hit = pattern.search(path.read_text("utf-8", errors="replace"))
            assert hit is None, f"{path} names {hit}"


def set_up_lines() -> list[str]:
    """The README's fenced lines that install something."""
    text = (ROOT / "README.md").read_text("utf-8")
    fences = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    return [line for fence in fences for line in fence.splitlines() if "pip install" in line]


def test_readme_has_exactly_two_set_up_lines_and_fits() -> None:
    lines = set_up_lines()
    assert lines == [
        'pip install -e ".[all]" && masquerade demo',
        'pip install -e ".[all]" && pytest',
    ]
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_ci_reads_its_commands_from_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    patterns = re.findall(r"grep -E '([^']+)' README\.md", script)
    found = [[line for line in set_up_lines() if re.search(p, line)] for p in patterns]
    assert found == [[line] for line in set_up_lines()]
    assert "pip install -e" not in script


def test_version_is_the_same_everywhere() -> None:
    own = masquerade.__version__
    assert f"\nversion: {own}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"## {own}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
    try:
        assert version("masquerade-suite") == own
    except PackageNotFoundError:
        pytest.skip("the package is on the path, not installed")


def test_every_public_name_loads() -> None:
    for name in masquerade.__all__:
        assert getattr(masquerade, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        masquerade.nothing  # noqa: B018 - the attribute's absence is what is tested


def test_performance_scripts_still_fit_the_library() -> None:
    """What is run by hand breaks unseen: each of them is imported here, none is run."""
    scripts = sorted((ROOT / "tests" / "performance").glob("*.py"))
    program = (
        "import importlib.util, sys\n"
        "for path in sys.argv[1:]:\n"
        "    sys.path.insert(0, path.rpartition('/')[0])\n"
        "    spec = importlib.util.spec_from_file_location('script', path)\n"
        "    spec.loader.exec_module(importlib.util.module_from_spec(spec))\n"
        "    sys.path.pop(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, scripts)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
