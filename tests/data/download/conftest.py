"""Servers on this machine, in the place of those that publish the data sets."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from data.download import fetch
from tests.data.download import file_server


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        self.server.asked.append(self.path)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that a local server publishes, with its address and the list of what was asked for."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(fetch, "FIRST_WAIT_S", 0)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        server.asked, server.folder = [], folder
        server.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def server():
    """A server of the one file of `file_server`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), file_server.Handler) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def web(server, monkeypatch):
    """What the server answers, with the address of its file."""
    monkeypatch.setattr(fetch, "FIRST_WAIT_S", 0)
    monkeypatch.setenv("no_proxy", "*")
    server.served = file_server.Served()
    server.served.url = f"http://127.0.0.1:{server.server_port}/file.zip"
    return server.served
