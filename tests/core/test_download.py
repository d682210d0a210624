"""Downloads against a local server: whole, resumed, refused; archives stay in their folder."""

import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from masquerade.core.download import download, fetch_archive, unpack_tar
from masquerade.core.errors import DataError, MasqueradeError, UsageError

BODY = bytes(range(256)) * 4000
SHA = hashlib.sha256(BODY).hexdigest()


class Server(HTTPServer):
    """Serves `body`; may know Range, and may break off after some bytes."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.knows_range, self.breaks_after = BODY, True, None
        self.ranges = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/file.bin"


class Handler(BaseHTTPRequestHandler):
    """One GET."""

    def do_GET(self):
        if self.path != "/file.bin":
            self.send_error(404)
            return
        server, begin = self.server, 0
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        if asked and server.knows_range:
            begin = int(asked.removeprefix("bytes=").rstrip("-"))
            if begin >= len(server.body):
                self.send_error(416)
                return
        part = server.body[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part[: server.breaks_after])

    def log_message(self, *_):
        """Keep quiet."""


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_file_arrives_whole_with_progress(server, tmp_path):
    seen = []
    path = download(server.url, tmp_path / "a" / "f", SHA, lambda *now: seen.append(now))
    assert path.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert [p.name for p in path.parent.iterdir()] == ["f"]


def test_broken_download_goes_on_where_it_stopped(server, tmp_path):
    server.breaks_after = 300_000
    with pytest.raises(MasqueradeError, match="goes on where it stopped"):
        download(server.url, tmp_path / "f", SHA)
    assert not (tmp_path / "f").exists()
    assert (tmp_path / "f.part").stat().st_size == 300_000
    server.breaks_after = None
    assert download(server.url, tmp_path / "f", SHA).read_bytes() == BODY
    assert server.ranges == [None, "bytes=300000-"]


def test_server_without_range_sends_all_again(server, tmp_path):
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    server.knows_range = False
    assert download(server.url, tmp_path / "f", SHA).read_bytes() == BODY


def test_part_that_was_whole_already_is_taken(server, tmp_path):
    (tmp_path / "f.part").write_bytes(BODY)
    assert download(server.url, tmp_path / "f", SHA).read_bytes() == BODY


def test_file_that_is_there_is_not_fetched_again(server, tmp_path):
    (tmp_path / "f").write_bytes(BODY)
    download(server.url, tmp_path / "f", SHA)
    assert server.ranges == []
    (tmp_path / "f").write_bytes(b"thesis")
    with pytest.raises(UsageError, match="is another file"):
        download(server.url, tmp_path / "f", SHA)
    assert (tmp_path / "f").read_bytes() == b"thesis"


def test_wrong_hash_is_refused_and_removed(server, tmp_path):
    server.body = BODY[:-1] + b"!"
    with pytest.raises(DataError, match=f"expected {SHA}"):
        download(server.url, tmp_path / "f", SHA)
    assert list(tmp_path.iterdir()) == []


def test_wrong_part_is_removed_so_that_the_next_try_is_clean(server, tmp_path):
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    with pytest.raises(DataError, match="sha256"):
        download(server.url, tmp_path / "f", SHA)
    assert download(server.url, tmp_path / "f", SHA).read_bytes() == BODY


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y"])
def test_other_schemes_are_refused(url, tmp_path):
    with pytest.raises(UsageError, match="only http"):
        download(url, tmp_path / "f", SHA)


def test_missing_page_and_dead_server_are_one_sentence(server, tmp_path):
    with pytest.raises(MasqueradeError, match="Not Found"):
        download(server.url.replace("file", "other"), tmp_path / "f", SHA)
    with pytest.raises(MasqueradeError, match="refused"):
        download("http://127.0.0.1:1/f", tmp_path / "f", SHA)


def archive(*members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data, kind in members:
            info = tarfile.TarInfo(name)
            info.size, info.type = len(data), kind
            info.linkname = "/etc/passwd" if kind == tarfile.SYMTYPE else ""
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_archive_is_fetched_and_unpacked(server, tmp_path):
    plain = tarfile.REGTYPE
    server.body = archive(("a/b.txt", b"hello", plain), ("a/link", b"", tarfile.SYMTYPE))
    sha = hashlib.sha256(server.body).hexdigest()
    folder = fetch_archive(server.url, tmp_path, "set", sha)
    assert (folder / "a" / "b.txt").read_text() == "hello"
    assert not (folder / "a" / "link").exists()
    with pytest.raises(UsageError, match="exists already"):
        fetch_archive(server.url, tmp_path, "set", sha)


@pytest.mark.parametrize("name", ["../evil", "/evil-masquerade", "a/../../evil"])
def test_archive_cannot_write_outside(tmp_path, name):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "x.tgz"
    path.write_bytes(archive(("good", b"1", tarfile.REGTYPE), (name, b"1", tarfile.REGTYPE)))
    with pytest.raises(DataError, match="leaves its folder"):
        unpack_tar(path, tmp_path / "in" / "out")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["in", "x.tgz"]


def test_damaged_archive_leaves_nothing(tmp_path):
    path = tmp_path / "x.tgz"
    path.write_bytes(archive(("good", b"1" * 5000, tarfile.REGTYPE))[:-30])
    with pytest.raises(DataError, match="damaged"):
        unpack_tar(path, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["x.tgz"]
