"""HEVC by HM, the reference encoder, as a program; streams and colours are those of data/codecs/hevc.py."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from data.codecs.base import CodecError
from data.codecs.hevc import Hevc
from data.codecs.ycbcr import halved_chroma

HM_VARIABLE = "CISR_HM"
"""The environment variable with the path of HM's encoder."""


@dataclass(frozen=True)
class Hm(Hevc):
    """HM's encoder (TAppEncoderStatic) at a fixed QP with the settings of its all-intra configuration, at 8 bits.

    `binary` is the path of the encoder; None: the path in the environment variable CISR_HM. Written for HM 16. The
    tools of the range extensions stay off, as in x265. HM takes seconds for a megapixel.
    """

    binary: Path | None = None

    name = "hm"

    def encoder(self) -> str:
        return f"{self._format()}, by HM {_hm_version(self._binary())} as its all-intra configuration sets it"

    def _binary(self) -> Path:
        given = self.binary or os.environ.get(HM_VARIABLE)
        if not given:
            raise CodecError(f"{self}: set {HM_VARIABLE} to the path of HM's encoder (TAppEncoderStatic)")
        path = Path(given).resolve()
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise CodecError(f"{self}: {given}: no program that can be run: correct {HM_VARIABLE}, or chmod +x it")
        return path

    def _stream(self, planes: np.ndarray) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "picture.yuv"), Path(folder, "picture.bin")
            _, height, width = planes.shape
            source.write_bytes((halved_chroma(planes) if self.subsampling == "420" else planes).tobytes())
            options = {
                "InputFile": source,
                "BitstreamFile": target,
                "SourceWidth": width,
                "SourceHeight": height,
                "ConformanceWindowMode": 1,  # pad to whole coding units, noted in the headers
                "FrameRate": 25,
                "FramesToBeEncoded": 1,
                "InputBitDepth": 8,
                "InternalBitDepth": 8,
                "InputChromaFormat": self.subsampling,
                "ChromaFormatIDC": self.subsampling,
                "Profile": "main-RExt",
                "QP": self.quality,
                "IntraPeriod": 1,
                "GOPSize": 1,
                "MaxCUWidth": 64,
                "MaxCUHeight": 64,
                "MaxPartitionDepth": 4,
                "QuadtreeTULog2MaxSize": 5,
                "QuadtreeTULog2MinSize": 2,
                "QuadtreeTUMaxDepthIntra": 3,
                "RDOQ": 1,
                "RDOQTS": 1,
                "TransformSkip": 1,
                "TransformSkipFast": 1,
                "SAO": 1,
            }
            command = [str(self._binary()), *(f"--{name}={value}" for name, value in options.items())]
            done = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
            )
            if done.returncode or not target.is_file() or not target.stat().st_size:
                said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
                raise CodecError(f"{self}: {command[0]} failed with status {done.returncode} ({said[:200]})")
            return target.read_bytes()


@cache
def _hm_version(binary: Path) -> str:
    """The version that HM's encoder prints when it is started without arguments."""
    try:
        done = subprocess.run(
            [str(binary)], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return "of unknown version"
    found = re.search(r"Encoder Version \[([\w.+-]+)\]", done.stdout)
    return found[1] if found else "of unknown version"
