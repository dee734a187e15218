"""A download that broke off goes on where it was, and never becomes a splice of two files."""

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.download import fetch as module
from data.download.connection import DownloadError
from data.download.fetch import fetch
from tests.data.download.file_server import BODY, OTHER, Served, ranges


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


def test_what_came_before_a_reset_is_kept(web, tmp_path):
    web.cuts, web.reset = [2000, 2000], True
    fetch(web.url, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == BODY
    assert ranges(web) == [None, "bytes=2000-", "bytes=4000-"]


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
