"""Connections to http and https servers that cannot redirect to less safe addresses or delay headers for ever."""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.request
from contextlib import suppress
from typing import IO
from urllib.parse import urlsplit

from utils.errors import UserError

HEADERS_S = 60
"""Seconds until all headers must have come: single bytes would postpone a time-out between bytes for ever."""


class DownloadError(UserError):
    """A data set cannot be downloaded."""


def check_address(url: str) -> None:
    """Raise DownloadError unless `url` is an http or https address."""
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
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)  # TLS's own shutdown would wait for the other side


class _SecureConnection(_Connection, http.client.HTTPSConnection):
    pass


class _HTTPHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req)


class _HTTPSHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, req)


def opener() -> urllib.request.OpenerDirector:
    """An opener of http and https addresses only: urllib's own also opens file:, ftp: and data: addresses."""
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
