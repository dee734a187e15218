"""A server of one file that sends it well or badly: cut, changed, slow, at another address."""

import random
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

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


def ranges(web):
    return [request.get("Range") for request in web.requests]
