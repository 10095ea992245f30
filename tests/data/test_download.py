"""Downloads from a server on this machine: resumed, checked, explained."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reslab.data.sources.download import download
from reslab.errors import RunError

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()


class _Server(ThreadingHTTPServer):
    requests: list[str | None]
    cut_at: int | None = None
    knows_ranges = True
    status = 200


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.requests.append(wanted)
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        start = int(wanted[6:-1]) if wanted and self.server.knows_ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        end = self.server.cut_at or len(CONTENT)
        self.wfile.write(CONTENT[start : max(start, end)])

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[_Server]:
    running = _Server(("127.0.0.1", 0), _Handler)
    running.requests = []
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def _url(server: _Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/file.tar.gz"


def test_a_file_arrives_whole_and_progress_is_reported(server: _Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    download(_url(server), tmp_path / "new" / "file", MD5, lambda done, total: seen.append((done, total)))
    assert (tmp_path / "new" / "file").read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_an_interrupted_download_is_resumed(server: _Server, tmp_path: Path, knows_ranges: bool) -> None:
    server.knows_ranges = knows_ranges
    server.cut_at = 300_000
    with pytest.raises(RunError, match="interrupted after 300000 of 1024000 bytes"):
        download(_url(server), tmp_path / "file", MD5, lambda *_: None)
    assert not (tmp_path / "file").exists()
    server.cut_at = None
    download(_url(server), tmp_path / "file", MD5, lambda *_: None)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.requests == [None, "bytes=300000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_wrong_checksum_leaves_nothing_behind(server: _Server, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"MD5 is {MD5}, not 0000"):
        download(_url(server), tmp_path / "file", "0000", lambda *_: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "reply", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc"]
)
def test_a_server_that_breaks_the_protocol_is_a_failure_too(tmp_path: Path, reply: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer_once, args=(listener, reply))
        thread.start()
        with pytest.raises(RunError, match="cannot be downloaded"):
            download(f"http://127.0.0.1:{listener.getsockname()[1]}/file", tmp_path / "file", MD5, lambda *_: None)
        thread.join()


def _answer_once(listener: socket.socket, reply: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(reply)


def test_a_missing_file_on_the_server_is_said(
    tmp_path: Path, server: _Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.status = 404
    with caplog.at_level("INFO"), pytest.raises(RunError, match=r"cannot be downloaded \(Not Found\)"):
        download(_url(server), tmp_path / "file", MD5, lambda *_: None)
    assert f"fetching {_url(server)} to {tmp_path / 'file'}" in caplog.messages


def test_without_a_network_it_says_what_to_fetch_and_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=rf"cannot be downloaded.*by hand to {tmp_path}/file.*data\.path"):
        download("http://127.0.0.1:9/file", tmp_path / "file", MD5)


def test_of_several_that_need_a_file_at_once_one_fetches_it(server: _Server, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        wanted = [pool.submit(download, _url(server), tmp_path / "f", MD5, lambda done, total: None) for _ in range(4)]
        assert [one.result() for one in wanted] == [None] * 4
    assert server.requests == [None]
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_file_that_is_there_needs_no_folder_that_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    monkeypatch.setattr("reslab.data.sources.download.FileLock", lambda *_: pytest.fail("locked"))
    download("http://127.0.0.1:9/file", tmp_path / "file", MD5)
