"""The public calls have the command line's names; they load late and say mistakes as it does."""

import inspect
import subprocess
import sys
from pathlib import Path

import click
import pytest

import masquerade as mq
from masquerade.cli.main import main
from masquerade.core.errors import UsageError
from masquerade.generators.call import request_of

# what only a terminal needs, and what a keyword says the other way round
ONLY_TYPED = {"as_json", "quiet", "dry_run"}
OTHER_WORD = {"overrides": "set", "no_baselines": "baselines", "suffix": "format"}


@pytest.mark.parametrize("name", ["pretrain", "embed", "evaluate", "synthesize"])
def test_a_call_takes_what_its_command_takes(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    typed = {parameter.name or "" for parameter in command.params}
    call = request_of if name == "synthesize" else getattr(mq, name)
    taken = set(inspect.signature(call).parameters)
    assert {OTHER_WORD.get(word, word) for word in typed - ONLY_TYPED} == taken - ONLY_TYPED


@pytest.mark.parametrize("name", ["pretrain", "embed", "evaluate", "synthesize"])
def test_defaults_are_those_of_the_command(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    words: list[str] = []
    for parameter in command.params:
        if parameter.required:
            option = parameter.opts[0] if isinstance(parameter, click.Option) else None
            words += [option, "1"] if option else ["x"]
    typed = command.make_context(name, words).params
    call = request_of if name == "synthesize" else getattr(mq, name)
    taken = inspect.signature(call).parameters
    for parameter in command.params:
        word = OTHER_WORD.get(parameter.name or "", parameter.name or "")
        if parameter.required or word not in taken or word == "baselines":
            continue
        expected = taken[word].default
        found = typed[parameter.name or ""]
        assert (str(found) if isinstance(found, Path) else found) == expected, word


def test_naming_the_calls_imports_neither_torch_nor_pandas() -> None:
    code = (
        "import sys, masquerade as mq\n"
        "mq.pretrain, mq.load, mq.embed, mq.synthesize, mq.evaluate, mq.board\n"
        "assert not {'torch', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_mistakes_are_the_command_lines(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'knn'"):
        mq.evaluate("knnn", "raw")
    with pytest.raises(UsageError, match=r"expected a name that ends in \.parquet"):
        mq.embed("raw", "digits", tmp_path / "x.csv")
    with pytest.raises(UsageError, match="did you mean 'mae'"):
        mq.pretrain("mea", "digits", tmp_path / "run")
    with pytest.raises(UsageError, match="there is no results folder"):
        mq.board("retrieval", tmp_path / "nowhere")
