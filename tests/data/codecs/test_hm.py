"""data.codecs.hm: HM, the reference encoder, by its command line; a program that calls x265 stands in for it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from data.codecs import CodecError, compress, decode, encode, hevc
from data.codecs.hm import HM_VARIABLE, Hm
from utils.errors import UserError

CROP = np.ascontiguousarray(skimage.data.coffee()[100:160, 200:272])

FAKE_HM = """#!{python}
import json, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
sys.path.insert(0, {root!r})
from data.codecs.hevc import Hevc
options = dict(argument[2:].split("=", 1) for argument in sys.argv[1:])
Path({log!r}).write_text(json.dumps(sys.argv[1:]))
height, width = int(options["SourceHeight"]), int(options["SourceWidth"])
planes = np.fromfile(options["InputFile"], np.uint8).reshape(3, height, width)
Path(options["BitstreamFile"]).write_bytes(Hevc(int(options["QP"]))._stream(planes))
"""


def assert_one_line(error: pytest.ExceptionInfo) -> str:
    assert isinstance(error.value, UserError)
    assert str(error.value).splitlines() == [str(error.value)]
    return str(error.value)


def program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_hm_is_run_and_its_stream_kept(tmp_path, monkeypatch):
    log = tmp_path / "log.json"
    root = str(Path(hevc.__file__).parents[2])
    binary = program(tmp_path / "HM encoder", FAKE_HM.format(python=sys.executable, root=root, log=str(log)))
    monkeypatch.setenv(HM_VARIABLE, str(binary))
    image = CROP[:41, :59]
    data = encode(image, "hm33")
    assert data == encode(image, "hevc33")  # the fake is x265
    np.testing.assert_array_equal(decode(data, "hm33"), compress(image, "hevc33"))
    arguments = dict(argument[2:].split("=", 1) for argument in json.loads(log.read_text()))
    expected = {
        "SourceWidth": "59",
        "SourceHeight": "41",
        "QP": "33",
        "IntraPeriod": "1",
        "GOPSize": "1",
        "FramesToBeEncoded": "1",
        "InputChromaFormat": "444",
        "ChromaFormatIDC": "444",
        "InputBitDepth": "8",
        "InternalBitDepth": "8",
        "ConformanceWindowMode": "1",
        "Profile": "main-RExt",
    }
    assert arguments.items() >= expected.items()
    assert not Path(arguments["InputFile"]).exists()  # temporary files are gone


def test_hm_by_a_given_path(tmp_path, monkeypatch):
    monkeypatch.delenv(HM_VARIABLE, raising=False)
    log, root = str(tmp_path / "log.json"), str(Path(hevc.__file__).parents[2])
    binary = program(tmp_path / "encoder", FAKE_HM.format(python=sys.executable, root=root, log=log))
    codec = Hm(37, binary=binary)
    assert str(codec) == "hm37" and "HM" in codec.describe()
    assert codec.encode(CROP[:3, :4]) == encode(CROP[:3, :4], "hevc37")


def test_hm_without_a_binary(tmp_path, monkeypatch):
    monkeypatch.delenv(HM_VARIABLE, raising=False)
    with pytest.raises(CodecError) as error:
        encode(CROP, "hm37")
    assert HM_VARIABLE in assert_one_line(error)
    for path in (tmp_path / "missing", tmp_path):
        monkeypatch.setenv(HM_VARIABLE, str(path))
        with pytest.raises(CodecError) as error:
            encode(CROP, "hm37")
        assert str(path) in assert_one_line(error)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("#!/bin/sh\necho first >&2; echo 'unknown option QP' >&2; exit 3", "status 3 (unknown option QP)"),
        ("#!/bin/sh\nexit 0", "no message"),
        ("no program at all", "Exec format error"),
    ],
)
def test_hm_that_fails(tmp_path, monkeypatch, script, said):
    monkeypatch.setenv(HM_VARIABLE, str(program(tmp_path / "encoder", script)))
    with pytest.raises(CodecError) as error:
        encode(CROP, "hm37")
    assert said in assert_one_line(error)


def test_the_encoder_says_its_version(tmp_path):
    banner = "#!/bin/sh\necho\necho 'HM software: Encoder Version [16.5][Linux][64 bit]'\nexit 1"
    assert "by HM 16.5 as its" in Hm(37, binary=program(tmp_path / "hm", banner)).describe()
    for name, script in (("silent", "#!/bin/sh\nexit 1"), ("broken", "no program")):
        assert "by HM of unknown version" in Hm(37, binary=program(tmp_path / name, script)).describe()
