import hashlib
import json
import random
import socket
import struct
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.download import connection
from data.download import fetch as module
from data.download.connection import DownloadError
from data.download.fetch import fetch
from utils.errors import UserError

BODY = random.Random(1).randbytes(5000)
OTHER = random.Random(2).randbytes(6000)


@dataclass
class Served:
    """What the local server answers; `requests` notes the headers that it was asked with."""

    body: bytes = BODY
    headers: dict = field(default_factory=lambda: {"ETag": '"one"'})
    cuts: list = field(default_factory=list)  # bytes sent of each next body before the connection is cut
    statuses: list = field(default_factory=list)  # of the next answers, before any 200 or 206
    parts: bool = True  # honours Range
    careless: bool = False  # ignores If-Range
    shift: int = 0  # added to the start of each part
    length: bool = True  # sends Content-Length
    location: str = ""  # sends every request on
    reset: bool = False  # after a cut, resets the connection instead of closing it
    pause: float = 0  # seconds between one byte of a body, or of the headers, and the next
    slow_headers: bool = False
    status_line: bool = True  # comes at once before slow headers
    raw: bytes = b""  # all that is sent
    requests: list = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        served = self.server.served
        served.requests.append(dict(self.headers))
        if served.slow_headers:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n" * served.status_line)
            self._dribble(b"X: 1\r\n" * 200, served.pause)
            return
        if served.raw:
            self.wfile.write(served.raw)
            self.close_connection = True
            return
        if served.location or served.statuses:
            self.send_response(302 if served.location else served.statuses.pop(0))
            self.send_header("Location", served.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start, wanted = 0, self.headers.get("Range")
        unchanged = served.careless or self.headers.get("If-Range") in served.headers.values()
        if wanted and served.parts and unchanged:
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) + served.shift
            if start >= len(served.body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(served.body) - 1}/{len(served.body)}")
        else:
            self.send_response(200)
        for name, value in served.headers.items():
            self.send_header(name, value)
        rest = served.body[start:]
        if served.length:
            self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if served.pause:
            self._dribble(rest, served.pause)
        elif served.cuts:
            self.wfile.write(rest[: served.cuts.pop(0)])
            if served.reset:
                time.sleep(0.2)  # what was sent has come by then
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self.wfile.write(rest)

    def _dribble(self, data, pause):
        with suppress(OSError):  # the other side has hung up
            for place in range(len(data)):
                self.wfile.write(data[place : place + 1])
                time.sleep(pause)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def web(server, monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0)
    monkeypatch.setenv("no_proxy", "*")
    server.served = Served()
    server.served.url = f"http://127.0.0.1:{server.server_port}/file.zip"
    return server.served


def ranges(web):
    return [request.get("Range") for request in web.requests]


def test_a_whole_file(web, tmp_path):
    target = tmp_path / "new" / "file.zip"
    fetch(web.url, target)
    assert target.read_bytes() == BODY
    assert [entry.name for entry in target.parent.iterdir()] == ["file.zip"]
    assert ranges(web) == [None]


def test_goes_on_where_the_connection_broke(web, tmp_path):
    web.cuts = [1000, 1500]
    fetch(web.url, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == BODY
    assert ranges(web) == [None, "bytes=1000-", "bytes=2500-"]
    assert web.requests[1]["If-Range"] == '"one"'


def test_a_later_run_goes_on(web, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TRIES", 1)
    web.cuts = [1000]
    target = tmp_path / "file.zip"
    with pytest.raises(DownloadError, match=r"broken off .*1,000 of 5,000 bytes.*run again"):
        fetch(web.url, target)
    assert not target.exists()
    assert (tmp_path / "file.zip.part").read_bytes() == BODY[:1000]
    fetch(web.url, target)
    assert target.read_bytes() == BODY
    assert ranges(web) == [None, "bytes=1000-"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.zip"]


def test_ctrl_c_leaves_what_the_next_run_goes_on_from(web, tmp_path, monkeypatch):
    read = module._read
    monkeypatch.setattr(module, "CHUNK", 1000)

    def interrupted(response):
        if (tmp_path / "file.zip.part.json").exists() and interrupted.chunks == 2:
            raise KeyboardInterrupt
        interrupted.chunks += 1
        return read(response)

    interrupted.chunks = 0
    monkeypatch.setattr(module, "_read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(web.url, tmp_path / "file.zip")
    monkeypatch.setattr(module, "_read", read)
    fetch(web.url, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == BODY
    assert ranges(web) == [None, "bytes=2000-"]


def test_a_run_killed_before_the_renaming_asks_for_nothing(web, tmp_path):
    (tmp_path / "file.zip.part").write_bytes(BODY)
    note = {"url": web.url, "header": "ETag", "validator": '"one"', "total": len(BODY)}
    (tmp_path / "file.zip.part.json").write_text(json.dumps(note))
    fetch(web.url, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == BODY
    assert web.requests == []


def test_a_server_without_parts_starts_over(web, tmp_path):
    web.parts, web.cuts = False, [1000]
    fetch(web.url, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == BODY
    assert ranges(web) == [None, "bytes=1000-"]


def part_of_another_run(web, tmp_path, **changes):
    """The first 1,000 bytes of BODY, noted as such."""
    (tmp_path / "file.zip.part").write_bytes(BODY[:1000])
    note = {"url": web.url, "header": "ETag", "validator": '"one"', "total": len(BODY), **changes}
    (tmp_path / "file.zip.part.json").write_text(json.dumps(note))


@pytest.mark.parametrize("careless", [False, True])
def test_a_file_that_changed_is_not_spliced(web, tmp_path, careless):
    part_of_another_run(web, tmp_path)
    web.body, web.headers, web.careless = OTHER, {"ETag": '"two"'}, careless
    fetch(web.url, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == OTHER
    assert ranges(web)[0] == "bytes=1000-"


def test_a_file_that_changed_without_changing_its_size_or_date_header(web, tmp_path):
    part_of_another_run(web, tmp_path, header="Last-Modified", validator="Mon, 01 Jan 2024 00:00:00 GMT")
    web.body, web.careless = OTHER[: len(BODY)], True
    web.headers = {"Last-Modified": "Tue, 02 Jan 2024 00:00:00 GMT"}
    fetch(web.url, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == OTHER[: len(BODY)]


def test_a_file_that_became_shorter_than_our_part(web, tmp_path):
    part_of_another_run(web, tmp_path)
    web.body, web.careless = OTHER[:500], True  # 416
    fetch(web.url, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == OTHER[:500]


def test_a_part_that_was_not_asked_for_is_refused(web, tmp_path):
    part_of_another_run(web, tmp_path)
    web.shift = 7
    fetch(web.url, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == BODY
    assert ranges(web) == ["bytes=1000-", None]


def test_last_modified_serves_where_there_is_no_etag(web, tmp_path):
    web.headers, web.cuts = {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, [1000]
    fetch(web.url, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == BODY
    assert web.requests[1]["If-Range"] == "Mon, 01 Jan 2024 00:00:00 GMT"


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"one"'}])
def test_without_a_strong_validator_nothing_is_resumed(web, tmp_path, headers):
    web.headers, web.cuts = headers, [1000]
    fetch(web.url, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == BODY
    assert ranges(web) == [None, None]


@pytest.mark.parametrize(
    "note",
    [
        *("", "[]", "{}", "null", '{"url": 1}'),
        *({"url": "http://elsewhere/"}, {"total": "5000"}, {"total": 500}),
        *({"validator": None}, {"validator": 3}, {"header": "Host"}),
    ],
)
def test_a_part_of_unknown_origin_is_not_used(web, tmp_path, note):
    part_of_another_run(web, tmp_path, **(note if isinstance(note, dict) else {}))
    if isinstance(note, str):
        (tmp_path / "file.zip.part.json").write_text(note)
    fetch(web.url, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == BODY
    assert ranges(web) == [None]


@settings(deadline=None, max_examples=40)
@given(
    cuts=st.lists(st.integers(0, 4999), max_size=4),
    change_after=st.integers(0, 5),
    parts=st.booleans(),
    careless=st.booleans(),
)
def test_whatever_breaks_the_file_is_never_a_splice(server, cuts, change_after, parts, careless):
    server.served = Served(cuts=list(cuts), parts=parts, careless=careless)
    url = f"http://127.0.0.1:{server.server_port}/file.zip"
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "*")
        tries = []

        def sleep(seconds):
            tries.append(seconds)
            if len(tries) == change_after:
                server.served.body, server.served.headers = OTHER, {"ETag": '"two"'}

        patch.setattr(module, "time", SimpleNamespace(sleep=sleep))
        fetch(url, Path(folder) / "file.zip")
        wanted = OTHER if len(tries) >= change_after > 0 else BODY
        assert (Path(folder) / "file.zip").read_bytes() == wanted


def test_gives_up_after_tries_that_bring_nothing(web, tmp_path):
    web.cuts = [1000] + [0] * 100
    with pytest.raises(DownloadError, match="broken off 6 times in a row"):
        fetch(web.url, tmp_path / "file.zip")
    assert len(web.requests) == 1 + module.TRIES - 1
    assert (tmp_path / "file.zip.part").stat().st_size == 1000


def test_waits_longer_each_time(web, tmp_path, monkeypatch, capsys):
    waits = []
    monkeypatch.setattr(module, "FIRST_WAIT_S", 1.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(sleep=waits.append))
    web.statuses = [503, 429, 500, 408]
    fetch(web.url, tmp_path / "file.zip")
    assert waits == [1, 2, 4, 8]
    assert "HTTP 503" in capsys.readouterr().err


@pytest.mark.parametrize("status", [404, 403, 410, 204])
def test_a_refusal_is_final(web, tmp_path, status):
    web.statuses = [status]
    with pytest.raises(DownloadError, match=rf"/file\.zip: the server answers {status}"):
        fetch(web.url, tmp_path / "file.zip")
    assert len(web.requests) == 1
    assert not (tmp_path / "file.zip").exists()


def test_nobody_listens(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0)
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DownloadError, match="broken off"):
        fetch("http://127.0.0.1:9/file.zip", tmp_path / "file.zip")


def test_a_body_of_unannounced_size(web, tmp_path):
    web.length = False
    fetch(web.url, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == BODY


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:,a", "http://", "a.zip", "http://h:x/", "http://["],
)
def test_other_addresses_are_refused(tmp_path, url):
    with pytest.raises(DownloadError, match="not a usable address"):
        fetch(url, tmp_path / "file.zip")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:,a"])
def test_redirects_to_other_schemes_are_refused(web, tmp_path, location):
    web.location = location
    with pytest.raises(DownloadError):
        fetch(web.url, tmp_path / "file.zip")
    assert len(web.requests) == 1


def test_a_redirect_may_not_leave_https():
    request = SimpleNamespace(type="https", full_url="https://a/b")
    with pytest.raises(DownloadError, match="less safe"):
        connection._Redirects().redirect_request(request, None, 302, "", {}, "http://a/b")


def test_too_little_room(web, tmp_path, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=len(BODY) * 2 - 1))
    with pytest.raises(UserError, match=r"file\.zip needs 10\.0 kB, 10\.0 kB are free"):
        fetch(web.url, tmp_path / "file.zip", copies=2)
    assert not (tmp_path / "file.zip").exists()
    fetch(web.url, tmp_path / "file.zip", copies=1)
    assert (tmp_path / "file.zip").read_bytes() == BODY


def test_a_published_digest(web, tmp_path):
    fetch(web.url, tmp_path / "file.zip", sha256=hashlib.sha256(BODY).hexdigest())
    web.body = BODY[:-1] + b"x"
    with pytest.raises(DownloadError, match="not the published file"):
        fetch(web.url, tmp_path / "again.zip", sha256=hashlib.sha256(BODY).hexdigest())
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.zip"]


def test_what_came_before_a_reset_is_kept(web, tmp_path):
    web.cuts, web.reset = [2000, 2000], True
    fetch(web.url, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == BODY
    assert ranges(web) == [None, "bytes=2000-", "bytes=4000-"]


@pytest.mark.parametrize("announced", [True, False])
def test_a_file_that_is_too_large_is_refused(web, tmp_path, announced):
    web.length = announced
    with pytest.raises(DownloadError, match=r"more than the 5\.0 kB that it may have"):
        fetch(web.url, tmp_path / "file.zip", most=len(BODY) - 1)
    assert len(web.requests) == 1 and list(tmp_path.iterdir()) == []
    fetch(web.url, tmp_path / "file.zip", most=len(BODY))
    assert (tmp_path / "file.zip").read_bytes() == BODY


def test_a_body_of_unannounced_size_does_not_fill_the_disk(web, tmp_path, monkeypatch):
    web.length = False
    monkeypatch.setattr(module, "SPARE", 1000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=1999))
    with pytest.raises(DownloadError, match="the disk is nearly full"):
        fetch(web.url, tmp_path / "file.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_body_that_dribbles_is_given_up(web, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WINDOW_S", 0.2)
    monkeypatch.setattr(module, "TRIES", 2)
    web.pause = 0.02
    with pytest.raises(DownloadError, match=r"broken off 2 times in a row \(only \d+ bytes a second\)"):
        fetch(web.url, tmp_path / "file.zip")
    part = (tmp_path / "file.zip.part").read_bytes()
    assert 0 < len(part) < 1000 and BODY.startswith(part)


@pytest.mark.parametrize("status_line", [True, False])
def test_headers_that_dribble_are_given_up(web, tmp_path, monkeypatch, status_line):
    monkeypatch.setattr(connection, "HEADERS_S", 0.3)
    monkeypatch.setattr(module, "TRIES", 2)
    web.slow_headers, web.status_line, web.pause = True, status_line, 0.05
    started = time.monotonic()
    with pytest.raises(DownloadError, match="broken off 2 times in a row"):
        fetch(web.url, tmp_path / "file.zip")
    assert time.monotonic() - started < 20  # sent in full they would take 60 s, twice
    assert not (tmp_path / "file.zip").exists()


@pytest.mark.parametrize("sent", ["", 'ETag: "one"\r\n', "Content-Length: 5", "Content-Length: 0\r\n\r\n"])
def test_an_answer_that_ends_with_its_headers_is_no_file(web, tmp_path, monkeypatch, sent):
    monkeypatch.setattr(module, "TRIES", 2)
    web.raw = b"HTTP/1.1 200 OK\r\n" + sent.encode()
    with pytest.raises(DownloadError, match="broken off 2 times in a row"):
        fetch(web.url, tmp_path / "file.zip")
    assert len(web.requests) == 2 and not (tmp_path / "file.zip").exists()


@pytest.mark.parametrize("status", ["", "HTTP/1.1 404 ", "HTTP/1.1 500 "])
def test_of_what_a_server_says_the_beginning_is_shown(web, tmp_path, monkeypatch, capsys, status):
    monkeypatch.setattr(module, "TRIES", 2)
    web.raw = status.encode() + b"x" * 60_000 + b"\r\n\r\n"
    with pytest.raises(DownloadError, match="xxx") as caught:
        fetch(web.url, tmp_path / "file.zip")
    assert len(str(caught.value)) < 500 and len(capsys.readouterr().err) < 500


@pytest.mark.parametrize("noted", [True, False])
def test_nothing_is_written_through_a_link(web, tmp_path, noted):
    victim = tmp_path / "victim"
    victim.write_bytes(BODY[:1000])
    if noted:
        part_of_another_run(web, tmp_path)
        (tmp_path / "file.zip.part").unlink()
    (tmp_path / "file.zip.part").symlink_to(victim)
    fetch(web.url, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == BODY
    assert victim.read_bytes() == BODY[:1000] and not (tmp_path / "file.zip").is_symlink()
