"""`weights`: in and out of official files, and files that mean harm."""

import hashlib
import json
import pickle
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from masquerade.cli.main import call
from masquerade.core.weights import save_method
from masquerade.methods import published
from masquerade.methods.image.mae import MAE
from masquerade.methods.weights import load_method


def tiny() -> MAE:
    torch.manual_seed(0)
    return MAE(
        MAE.Config(
            image_size=16, patch_size=8, dim=16, depth=1, heads=2,
            decoder_dim=12, decoder_depth=1, decoder_heads=2,
        )
    )  # fmt: skip


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_method(tiny(), path)
    return path


HEADS = ["--set", "method.heads=2", "--set", "method.decoder_heads=2"]


def test_export_then_import_gives_the_same_weights(ours: Path, tmp_path: Path) -> None:
    official, back = tmp_path / "official.pth", tmp_path / "back.safetensors"
    assert call(["weights", "export", str(ours), "--out", str(official)]) == 0
    names = set(torch.load(official, weights_only=True)["model"])
    assert {"cls_token", "patch_embed.proj.weight", "decoder_pred.bias", "mask_token"} <= names
    assert call(["weights", "import", "mae", str(official), "--out", str(back), *HEADS]) == 0
    first, second = load_method(ours).state_dict(), load_method(back).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_import_of_unknown_width_asks_for_the_heads(
    ours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    official = tmp_path / "official.pth"
    call(["weights", "export", str(ours), "--out", str(official)])
    capsys.readouterr()
    out = tmp_path / "back.safetensors"
    assert call(["weights", "import", "mae", str(official), "--out", str(out)]) == 4
    assert "--set method.heads=H" in capsys.readouterr().err
    assert not out.exists()


def test_import_that_does_not_fit_names_the_keys_and_writes_nothing(
    ours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    official, out = tmp_path / "official.pth", tmp_path / "back.safetensors"
    call(["weights", "export", str(ours), "--out", str(official)])
    state = torch.load(official, weights_only=True)["model"]
    state["decoder_norm.weigth"] = state.pop("decoder_norm.weight")
    torch.save({"model": state}, official)
    capsys.readouterr()
    arguments = ["weights", "import", "mae", str(official), "--out", str(out), *HEADS]
    assert call(arguments) == 4
    message = capsys.readouterr().err
    assert "missing in decoder" in message
    assert "decoder.norm.weigth" in message
    assert not out.exists()
    assert call([*arguments, "--allow-partial"]) == 0
    assert "missing in decoder" in capsys.readouterr().err


def test_set_of_another_section_is_refused(
    ours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["weights", "import", "mae", str(ours), "--out", str(tmp_path / "x.safetensors")]
    assert call([*arguments, "--set", "optim.lr=1"]) == 2
    assert "only settings of 'method'" in capsys.readouterr().err


def test_inspect_shows_names_shapes_types_and_hash(
    ours: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(["weights", "inspect", str(ours), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sha256"] == hashlib.sha256(ours.read_bytes()).hexdigest()
    assert found["kind"] == "safetensors"
    assert found["header"]["method"] == "mae"
    assert found["tensors"]["encoder.embed.weight"] == {"shape": [16, 192], "dtype": "float32"}
    assert found["n_parameters"] == sum(value.numel() for value in tiny().state_dict().values())


def test_inspect_of_a_training_checkpoint_names_what_else_it_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "foreign.pth"
    torch.save({"model": {"w": torch.zeros(2, 3, dtype=torch.float16)}, "epoch": 7}, path)
    assert call(["weights", "inspect", str(path)]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1].split() == ["w", "2×3", "float16"]
    assert "pytorch" in shown.err
    assert "beside the weights: epoch" in shown.err


class Harmful:
    """Unpickling it would run a command that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("form", ["bare pickle", "torch zip", "inside model"])
def test_pickle_that_would_run_code_is_refused_and_not_run(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proof, path = tmp_path / "was_run", tmp_path / "harm.pth"
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(Harmful(proof)))
    else:
        torch.save(Harmful(proof) if form == "torch zip" else {"model": Harmful(proof)}, path)
    for arguments in (
        ["weights", "inspect", str(path)],
        ["weights", "import", "mae", str(path), "--out", str(tmp_path / "x.safetensors")],
        ["reconstruct", str(path), "--data", str(path), "--out", str(tmp_path / "x.png")],
    ):
        assert call(arguments) == 4
        message = capsys.readouterr().err
        assert message.startswith("error: refused ")
        assert "never run" in message
        assert "system" in message or form == "bare pickle"  # protocol 4 hides the name
    assert not proof.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["harm.pth"]


def test_checkpoint_that_unpacks_to_far_more_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * (64 << 20))
    assert call(["weights", "inspect", str(path)]) == 4
    assert "unpacks to 67108864 bytes" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x02.", b"not weights at all", b"{" * 64])
def test_damaged_file_is_one_sentence(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "damaged.pth"
    path.write_bytes(content)
    assert call(["weights", "inspect", str(path)]) == 4
    assert capsys.readouterr().err.startswith("error: ")


def test_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["weights", "inspect", str(tmp_path / "nothing.pth")]) == 4
    assert "nothing.pth" in capsys.readouterr().err


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A local HTTP server of a folder: its address, and the folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", folder
        http.shutdown()
        thread.join()


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch, server: tuple[str, Path]) -> bytes:
    """A published file called `test`, with the md5 start of its content."""
    content = b"weights of somebody"
    (server[1] / "w.pth").write_bytes(content)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    made = published.Published("mae", f"{server[0]}/w.pth", "encoder", md5[:6])
    monkeypatch.setitem(published.PUBLISHED, "test", made)
    return content


def test_get_checks_the_published_md5_and_prints_the_sha256(
    entry: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "got.pth"
    assert call(["weights", "get", "test", "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert out.read_bytes() == entry
    assert found["sha256"] == hashlib.sha256(entry).hexdigest()
    assert "md5" in found["checked"]
    assert call(["weights", "get", "test", "--out", str(out)]) == 2  # never overwrites


def test_get_of_another_file_is_refused_and_removed(
    entry: bytes, server: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (server[1] / "w.pth").write_bytes(b"something else")
    out = tmp_path / "here" / "got.pth"
    assert call(["weights", "get", "test", "--out", str(out)]) == 4
    assert "expected an md5 that starts with" in capsys.readouterr().err
    assert list(out.parent.iterdir()) == []


def test_get_checks_a_given_sha256(
    entry: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "got.pth"
    assert call(["weights", "get", "test", "--out", str(out), "--sha256", "0" * 64]) == 4
    assert f"expected sha256 {'0' * 64}" in capsys.readouterr().err
    right = hashlib.sha256(entry).hexdigest()
    assert call(["weights", "get", "test", "--out", str(out), "--sha256", right]) == 0


def test_get_of_a_file_that_nothing_is_known_of_needs_consent(
    entry: bytes, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    unknown = published.Published("mae", f"{server[0]}/w.pth", "encoder", "")
    monkeypatch.setitem(published.PUBLISHED, "test", unknown)
    out = tmp_path / "got.pth"
    assert call(["weights", "get", "test", "--out", str(out)]) == 2
    assert "--unverified" in capsys.readouterr().err
    assert call(["weights", "get", "test", "--out", str(out), "--unverified"]) == 0
    assert "not checked by anything" in capsys.readouterr().err


def test_get_without_a_name_lists_with_licences(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["weights", "get", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["weights"]
    base = next(row for row in rows if row["name"] == "mae-vit-b")
    assert base["md5"] == "8cad7c…"  # the card, section 7
    assert base["licence"] == "CC-BY-NC-4.0"


def test_get_of_an_unknown_name_proposes_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["weights", "get", "mae-vit-bb"]) == 2
    assert "did you mean 'mae-vit-b'?" in capsys.readouterr().err
