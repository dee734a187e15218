"""A file is fetched whole or refused: redirects, digests, sizes, and servers that fail, dribble or say too much."""

import hashlib
import time
from types import SimpleNamespace

import pytest

from data.download import connection
from data.download import fetch as module
from data.download.connection import DownloadError
from data.download.fetch import fetch
from tests.data.download.file_server import BODY, ranges
from utils.errors import UserError


def test_a_whole_file(web, tmp_path):
    target = tmp_path / "new" / "file.zip"
    fetch(web.url, target)
    assert target.read_bytes() == BODY
    assert [entry.name for entry in target.parent.iterdir()] == ["file.zip"]
    assert ranges(web) == [None]


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
