"""One file from the web onto the disk: resumed after a break, never spliced, never half-written.

While it arrives, NAME stands as NAME.part, with NAME.part.json beside it: the address, the whole size and the
server's validator (a strong ETag, else Last-Modified). A later try asks for the rest with `Range` and
`If-Range` (RFC 9110, sections 13.1.5 and 14.2) and starts over if the file has changed or nobody can tell.
"""

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import IO, Any, BinaryIO
from urllib.parse import urlsplit

from tqdm import tqdm

from utils.cli import one_line
from utils.errors import UserError
from utils.files import sha256_of, size_text

TRIES = 6  # in a row that bring less than PROGRESS; a try that brings more starts the count anew
PROGRESS = 1 << 16  # bytes
FIRST_WAIT_S = 1.0  # doubled after each such try
TIMEOUT_S = 30  # without a byte
HEADERS_S = 60  # until the headers are there: a byte now and then would put off the time-out for ever
WINDOW_S, SLOWEST = 30, 1024  # a try ends where a window brings fewer bytes a second
MOST = 1 << 34  # bytes of a file, unless told
SPARE = 1 << 28  # bytes that a body of unannounced size must leave free on the disk
CHUNK = 1 << 18

_RETRIED_STATUS = (408, 425, 429)  # beside all of 500 and above


class DownloadError(UserError):
    """A data set that cannot be got: one line with the address or file, the reason and what to do."""


class _BrokenOff(Exception):
    """A try that failed in a way that may pass."""


def fetch(url: str, target: Path, *, copies: int = 1, sha256: str | None = None, most: int = MOST) -> None:
    """Download `url` (http or https) to the file `target`, which appears only when it is whole.

    Not for two processes at once with the same target: the caller sees to that. Ctrl-C leaves the .part file.

    Args:
        copies: how many times the file's size must be free on the disk: 2 for an archive of images, which
            hardly compress and are unpacked beside it.
        sha256: the file's digest in hexadecimal, where it is published.
        most: bytes that the file may have.

    Raises:
        DownloadError: a bad address, a refusal (404 …), too little room, too large a file, a digest that differs, or
            TRIES breaks in a row.
        OSError: the disk refuses to be written.
    """
    _check_address(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(target, url)
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


class _Part:
    """NAME.part and the note beside it that says which file these bytes are the beginning of."""

    def __init__(self, target: Path, url: str):
        self.path = target.with_name(target.name + ".part")
        self.note = target.with_name(target.name + ".part.json")
        self.url = url

    def size(self) -> int:
        """Bytes that are there; a link counts as none and is removed before anything is written."""
        if self.path.is_symlink() or not self.path.exists():
            return 0
        return self.path.stat().st_size

    def origin(self) -> dict[str, Any] | None:
        """The note, if it is sound and about this address: {"url", "header", "validator", "total"}."""
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            sound = note["url"] == self.url and note["header"] in ("ETag", "Last-Modified")
            sound = sound and isinstance(note["total"], int) and _strong(note["validator"])
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return note if sound else None

    def complete(self) -> bool:
        origin = self.origin()
        return origin is not None and self.size() == origin["total"] > 0

    def restart(self, headers: http.client.HTTPMessage, total: int | None) -> None:
        """Empty the file, then note what comes: in this order no old byte can stand under a new note."""
        self.discard()
        _open_own(self.path, os.O_EXCL).close()
        for header in ("ETag", "Last-Modified"):
            if total is not None and _strong(headers.get(header)):
                note = {"url": self.url, "header": header, "validator": headers[header], "total": total}
                with _open_own(self.note, os.O_EXCL) as file:
                    file.write(json.dumps(note).encode())
                return

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(target)
        self.note.unlink(missing_ok=True)


def _open_own(path: Path, flags: int) -> BinaryIO:
    """A file to write, never through a link: where others can write, one may lie under a name that they can guess."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o666), "wb")


def _transfer(part: _Part, copies: int, most: int) -> None:
    """One try: the rest of the file if the server agrees, else all of it. Raises _BrokenOff too."""
    origin, have = part.origin(), part.size()
    if origin is None or have >= origin["total"]:
        origin, have = None, 0
    with _ask(part, origin, have) as response:
        if response.status == 206:
            if origin is None or not _is_the_rest(response.headers, origin, have):
                part.discard()
                raise _BrokenOff("the server sent another part than asked for")
            total = origin["total"]
        else:  # 200: the whole file, because it has changed or the server does not do parts
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
        with _open_own(part.path, os.O_APPEND) as file, bar:
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


def _ask(part: _Part, origin: dict[str, Any] | None, have: int) -> http.client.HTTPResponse:
    # identity: a compressed answer has other byte positions than the file
    request = urllib.request.Request(part.url, headers={"Accept-Encoding": "identity", "User-Agent": "Mozilla/5.0"})
    if origin is not None and have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", origin["validator"])
    try:
        response: http.client.HTTPResponse = _opener().open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # nothing there where our bytes end: they belong to another file
            part.discard()
        elif error.code < 500 and error.code not in _RETRIED_STATUS:
            raise DownloadError(f"{part.url}: the server answers {error.code} {error.reason}") from None
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
        return response.read1(CHUNK)  # what is there: of a whole chunk, all would be lost where the line breaks
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
    # A 206 repeats the ETag that a 200 would have had; it may leave Last-Modified out.
    same = headers.get(origin["header"])
    return same == origin["validator"] or (same is None and origin["header"] == "Last-Modified")


def _strong(validator: str | None) -> bool:
    """Whether a validator may stand in If-Range: a weak ETag may not, it also covers other bytes."""
    if not validator:
        return False
    return validator.isascii() and validator.isprintable() and not validator.startswith("W/")


def _check_room(path: Path, total: int | None, have: int, copies: int) -> None:
    if total is None:
        return
    free, needed = shutil.disk_usage(path.parent).free, total * copies - have
    if needed > free:
        raise DownloadError(
            f"{path.parent}: {path.stem} needs {size_text(needed)}, {size_text(free)} are free: "
            "make room, or choose another folder"
        )


def _check_spare(part: _Part) -> None:
    if shutil.disk_usage(part.path.parent).free < 2 * SPARE:
        part.discard()
        raise DownloadError(f"{part.url}: does not say its size, and the disk is nearly full: make room")


def _check_size(part: _Part, size: int, most: int) -> None:
    if size > most:
        part.discard()
        raise DownloadError(f"{part.url}: more than the {size_text(most)} that it may have: not the file sought")


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise DownloadError(f"{url}: not a usable address: give one that begins with http:// or https://")


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in ({"https"} if req.type == "https" else {"http", "https"}):
            raise DownloadError(f"{req.full_url}: refused to be sent on to {newurl}, which is less safe")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Connection(http.client.HTTPConnection):
    """A connection whose headers must come within HEADERS_S."""

    def getresponse(self) -> http.client.HTTPResponse:
        timer = threading.Timer(HEADERS_S, self._hang_up)
        timer.daemon = True
        timer.start()
        try:
            return super().getresponse()
        finally:
            timer.cancel()

    def _hang_up(self) -> None:
        with suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # not TLS's own, which would wait for the other side


class _SecureConnection(_Connection, http.client.HTTPSConnection):
    pass


class _HTTPHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req)


class _HTTPSHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, req)


def _opener() -> urllib.request.OpenerDirector:
    """urllib's own opener also follows file:, ftp: and data: addresses; this one does not."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        _HTTPHandler,
        _HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        _Redirects,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener
