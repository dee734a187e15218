"""Download of one file: resumed after a break, never spliced from two versions, never half-written.

During a download the bytes are in NAME.part, and NAME.part.json holds the address, the size of the file and the
server's validator (a strong ETag, else Last-Modified). A later try requests the rest with `Range` and `If-Range`
(RFC 9110, sections 13.1.5 and 14.2) and starts over if the file has changed or if the server cannot tell.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from time import monotonic
from typing import Any

from tqdm import tqdm

from data.download.connection import DownloadError, check_address, opener
from data.download.part_file import PartFile, open_own
from utils.cli import one_line
from utils.files import sha256_of, size_text

TRIES = 6  # in a row that bring less than PROGRESS; a try that brings more resets the count
PROGRESS = 1 << 16  # bytes
FIRST_WAIT_S = 1.0  # doubled after each such try
TIMEOUT_S = 30  # longest time without a byte
WINDOW_S, SLOWEST = 30, 1024  # a try ends if a window brings fewer bytes per second
MOST = 1 << 34  # bytes of a file, unless the caller says otherwise
SPARE = 1 << 28  # bytes that must stay free on the disk if the size is unknown
CHUNK = 1 << 18
LONGEST_REASON = 200  # characters of a server's own words in a message

_RETRIED_STATUS = (408, 425, 429)  # besides all from 500


class _BrokenOff(Exception):
    """A try that failed for a reason that may pass; of what a server says, the beginning."""

    def __init__(self, reason: str):
        super().__init__(reason[:LONGEST_REASON])


def fetch(url: str, target: Path, *, copies: int = 1, sha256: str | None = None, most: int = MOST) -> None:
    """Download `url` (http or https) to the file `target`, which appears only when it is complete.

    The caller prevents that two processes download to the same target. Ctrl-C leaves the .part file.

    Args:
        copies: how many times the file's size must be free on the disk: 2 for an archive of images, which
            hardly compress and are unpacked beside it.
        sha256: the published digest of the file in hexadecimal, if any.
        most: the largest size in bytes.

    Raises:
        DownloadError: a bad address, a refusal (404 …), too little room, too large a file, a digest that differs, or
            TRIES breaks in a row.
        OSError: the disk cannot be written.
    """
    check_address(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = PartFile(target, url)
    furthest, failures = part.size(), 0
    while not part.complete():
        try:
            _transfer(part, copies, most)
            break
        except _BrokenOff as error:
            failures = 1 if part.size() >= furthest + PROGRESS else failures + 1
            furthest = max(furthest, part.size())
            if failures >= TRIES:
                raise DownloadError(
                    f"{url}: broken off {TRIES} times in a row ({error}): run again later to go on"
                ) from None
            wait = FIRST_WAIT_S * 2 ** (failures - 1)
            print(f"{one_line(url)}: {one_line(error)}; trying again in {wait:.0f} s", file=sys.stderr)
            time.sleep(wait)
    if sha256 is not None and (found := sha256_of(part.path)) != sha256:
        part.discard()
        raise DownloadError(
            f"{url}: not the published file (SHA-256 {found[:12]}…, not {sha256[:12]}…), deleted: run again"
        )
    part.finish(target)


def _transfer(part: PartFile, copies: int, most: int) -> None:
    """Try once: the rest of the file if the server agrees, else all of it. Raises _BrokenOff too."""
    origin, have = part.origin(), part.size()
    if origin is None or have >= origin["total"]:
        origin, have = None, 0
    with _ask(part, origin, have) as response:
        if response.status == 206:
            if origin is None or not _is_the_rest(response.headers, origin, have):
                part.discard()
                raise _BrokenOff("the server sent another part than asked for")
            total = origin["total"]
        else:  # 200: all of the file, because it has changed or the server does not send parts
            length = response.headers.get("Content-Length", "")
            total, have = int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None, 0
            part.restart(response.headers, total)
        _check_size(part, total or 0, most)
        _check_room(part.path, total, have, copies)
        bar = tqdm(
            total=total,
            initial=have,
            unit="B",
            unit_scale=True,
            desc=part.path.stem,
            disable=None,
            leave=False,
        )
        since, fresh = monotonic(), 0
        with open_own(part.path, os.O_APPEND) as file, bar:
            while chunk := _read(response):
                if total is None and (have + len(chunk)) // SPARE > have // SPARE:
                    _check_spare(part)
                file.write(chunk)
                have += len(chunk)
                bar.update(len(chunk))
                _check_size(part, have, most)
                fresh += len(chunk)
                if (passed := monotonic() - since) >= WINDOW_S:
                    if fresh < SLOWEST * passed:
                        raise _BrokenOff(f"only {fresh / passed:.0f} bytes a second")
                    since, fresh = monotonic(), 0
    if total is not None and have != total:
        raise _BrokenOff(f"{have:,} of {total:,} bytes came")
    if not have:  # headers that break off look like complete ones that do not give the size of the file
        raise _BrokenOff("an empty answer")


def _ask(part: PartFile, origin: dict[str, Any] | None, have: int) -> http.client.HTTPResponse:
    # identity: byte positions in a compressed answer differ from those in the file
    request = urllib.request.Request(part.url, headers={"Accept-Encoding": "identity", "User-Agent": "Mozilla/5.0"})
    if origin is not None and have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", origin["validator"])
    try:
        response: http.client.HTTPResponse = opener().open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the file is not longer than our bytes: they belong to another file
            part.discard()
        elif error.code < 500 and error.code not in _RETRIED_STATUS:
            said = str(error.reason)[:LONGEST_REASON]
            raise DownloadError(f"{part.url}: the server answers {error.code} {said}") from None
        raise _BrokenOff(f"HTTP {error.code} {error.reason}") from None
    except (http.client.InvalidURL, ValueError) as error:
        raise DownloadError(f"{part.url}: not a usable address ({error})") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise DownloadError(
                f"{part.url}: the server's certificate is not valid ({reason.verify_message})"
            ) from None
        raise _BrokenOff(str(reason) or type(reason).__name__) from None
    if response.status not in (200, 206):
        response.close()
        raise DownloadError(f"{part.url}: the server answers {response.status} {response.reason}")
    return response


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(CHUNK)  # what has arrived: waiting for a full chunk would lose it when the line breaks
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOff(str(error) or type(error).__name__) from None


def _is_the_rest(headers: http.client.HTTPMessage, origin: dict[str, Any], have: int) -> bool:
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", headers.get("Content-Range", ""))
    if match is None or [int(number) for number in match.groups()] != [
        have,
        origin["total"] - 1,
        origin["total"],
    ]:
        return False
    # A 206 repeats the ETag of a 200; it may omit Last-Modified.
    same = headers.get(origin["header"])
    return same == origin["validator"] or (same is None and origin["header"] == "Last-Modified")


def _check_room(path: Path, total: int | None, have: int, copies: int) -> None:
    if total is None:
        return
    free, needed = shutil.disk_usage(path.parent).free, total * copies - have
    if needed > free:
        raise DownloadError(
            f"{path.parent}: {path.stem} needs {size_text(needed)}, {size_text(free)} are free: "
            "make room, or choose another folder"
        )


def _check_spare(part: PartFile) -> None:
    if shutil.disk_usage(part.path.parent).free < 2 * SPARE:
        part.discard()
        raise DownloadError(f"{part.url}: does not say its size, and the disk is nearly full: make room")


def _check_size(part: PartFile, size: int, most: int) -> None:
    if size > most:
        part.discard()
        raise DownloadError(f"{part.url}: more than the {size_text(most)} that it may have: not the file sought")
