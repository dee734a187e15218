"""HEVC, one picture, all intra, 4:4:4 or 4:2:0, 8 bits: by x265 through PyAV, or by HM, the reference encoder.

Studies of HEVC's artefacts use HM at a fixed QP. x265 is several times as fast and pip installs it, but its
defaults are not HM's: I slices are coded three QP steps below the one asked for, chroma six above, and the
trade between rate and distortion is its own. Here all three are set to HM's. The result is close to that of
HM 16.5 (over QP 22 to 42 within 0.06 dB of Y-PSNR and 0.13 dB of RGB-PSNR, at 4.4 % more rate on average),
not the same pixels.

RGB becomes YCbCr by the BT.601 matrix, limited range (Y 16 to 235) unless `full_range`, rounded to 8 bits, and
back. For 4:2:0 the means of 2x2 chroma samples are encoded, and enlarged bilinearly about their centres; an odd last
row or column stands in the stream twice, and `roundtrip` cuts it off.

`encode` returns a raw Annex B stream (`.hevc`) whose headers carry the image's size (for 4:2:0 the next even one). It
ends with an end-of-bitstream mark (5 bytes), by which `decode` tells a whole stream from one cut short: the decoder
would just paint the missing part. Damage inside a stream is not noticed, as in any player.
"""

from __future__ import annotations

import io
import math
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import cv2
import numpy as np

from data.codecs.base import CodecError, QualityCodec
from utils.images import MAX_PIXELS

HM_VARIABLE = "CISR_HM"  # environment variable: path of HM's encoder

_SMALLEST = 16  # pixels a side: x265 takes no less
_LARGEST = 16384
_END_OF_BITSTREAM = b"\x00\x00\x01\x4a\x01"
_LOG_LEVEL = "none"  # of x265; "info" prints the average QP, "debug" the lambda tables


@dataclass(frozen=True)
class Hevc(QualityCodec):
    """x265 at a fixed QP (`quality`), with HM's I-slice QP, chroma QP and lambda.

    `subsampling`: 444 keeps the chroma whole, 420 halves its rows and columns.
    """

    full_range: bool = False
    subsampling: str = "444"

    subsamplings: ClassVar[tuple[str, ...]] = ("444", "420")

    name, lowest, highest = "hevc", 0, 51
    title = "HEVC QP"
    size_multiple = 8  # HM's smallest coding unit; SubjectiveQE-ESRGAN crops its data set so

    def __str__(self) -> str:
        halved = f":{self.subsampling}" if self.subsampling != "444" else ""
        return super().__str__() + ("full" if self.full_range else "") + halved

    def encoder(self) -> str:
        return (
            f"{self._colours()}, by x265 {_x265_version()} with preset slow, tune psnr and HM's I-slice QP, chroma QP "
            f"and lambda (PyAV {_pyav().__version__})"
        )

    def _encode(self, image: np.ndarray) -> bytes:
        height, width = image.shape[:2]
        if max(height, width) > _LARGEST:
            raise CodecError(f"{self}: {width}x{height} pixels, at most {_LARGEST} a side can be encoded")
        bottom, right = max(0, _SMALLEST - height), max(0, _SMALLEST - width)
        if self.subsampling == "420":
            # Cropping counts in chroma samples: an odd last row or column stays in the stream.
            height, width = height + height % 2, width + width % 2
            image = np.pad(image, ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)), mode="edge")
            bottom, right = max(0, _SMALLEST - height), max(0, _SMALLEST - width)
        padded = np.pad(image, ((0, bottom), (0, right), (0, 0)), mode="edge")
        try:
            stream = self._stream(_to_ycbcr(padded, self.full_range))
            if bottom or right:
                stream = _cropped(stream, bottom, right)
        except _errors() as error:
            raise CodecError(f"{self}: cannot encode ({' '.join(str(error).split())})") from None
        return stream + _END_OF_BITSTREAM

    def roundtrip(self, image: np.ndarray) -> tuple[np.ndarray, bytes]:
        data = self.encode(image)
        height, width = image.shape[:2]
        return np.ascontiguousarray(self.decode(data)[:height, :width]), data

    def decode(self, data: bytes) -> np.ndarray:
        """As `Codec.decode`; from 4:2:0 an image of odd size comes with one more row or column."""
        if not data.endswith(_END_OF_BITSTREAM):
            raise CodecError(f"{self} data: cut short, or not a stream of this codec")
        context = _pyav().CodecContext.create("hevc", "r")
        context.thread_count = 1
        context.options = {"max_pixels": str(MAX_PIXELS)}
        try:
            packets = context.parse(data[: -len(_END_OF_BITSTREAM)]) + context.parse(b"")
            if len(packets) != 1:
                raise CodecError(f"{self} data: {len(packets)} pictures where one is needed")
            frames = context.decode(packets[0]) + context.decode(None)
        except _errors() as error:
            raise CodecError(f"{self} data: damaged ({' '.join(str(error).split())})") from None
        known = (f"yuv{self.subsampling}p", f"yuvj{self.subsampling}p")
        if len(frames) != 1 or frames[0].format.name not in known:
            raise CodecError(f"{self} data: damaged, or not one picture of 8-bit {':'.join(self.subsampling)}")
        planes = frames[0].to_ndarray()
        if self.subsampling == "420":
            planes = _enlarged_chroma(planes)
        return _to_rgb(planes, self.full_range)

    def _colours(self) -> str:
        return f"{':'.join(self.subsampling)} 8 bit, all intra, BT.601 {'full' if self.full_range else 'limited'} range"

    def _stream(self, planes: np.ndarray) -> bytes:
        """Encode (3, height, width) uint8 YCbCr, for 4:2:0 of even sides, to an Annex B stream."""
        height, width = planes.shape[1:]
        if self.subsampling == "420":
            planes = _halved_chroma(planes)
        av = _pyav()
        try:
            context = av.CodecContext.create("libx265", "w")
        except ValueError:
            raise CodecError(f"{self}: this PyAV was built without libx265: pip install av") from None
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as lambdas:
            lambdas.write(_lambda_file())
            lambdas.flush()
            context.height, context.width = height, width
            context.pix_fmt = f"yuv{self.subsampling}p"
            context.time_base = Fraction(1, 25)
            # One frame thread and one pool thread, so that processes can run side by side. WPP stays on:
            # without it the pixels are others, with it the number of pool threads changes nothing.
            context.thread_count = 1
            context.options = {
                "preset": "slow",
                "tune": "psnr",  # psy-rd would add 6 to the chroma QP in 4:4:4
                "x265-params": f"qp={self.quality}:keyint=1:ipratio=1.0:cbqpoffs=0:crqpoffs=0:info=0:pools=1:"
                # Kept by x265 for the whole process once given: so it is given every time.
                f"lambda-file={_escaped(lambdas.name)}:log-level={_LOG_LEVEL}",
            }
            frame = av.VideoFrame.from_ndarray(planes, format=context.pix_fmt)
            return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


@dataclass(frozen=True)
class Hm(Hevc):
    """HM's encoder (TAppEncoderStatic) at a fixed QP, as its all-intra configuration sets it, at 8 bits.

    `binary` is the path of an existing encoder; without it the environment variable CISR_HM names it. Written
    for HM 16; the range-extension tools stay off, as in x265. Slow: seconds for a megapixel.
    """

    binary: Path | None = None

    name = "hm"

    def encoder(self) -> str:
        return f"{self._colours()}, by HM {_hm_version(self._binary())} as its all-intra configuration sets it"

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
            source.write_bytes((_halved_chroma(planes) if self.subsampling == "420" else planes).tobytes())
            options = {
                "InputFile": source,
                "BitstreamFile": target,
                "SourceWidth": width,
                "SourceHeight": height,
                "ConformanceWindowMode": 1,  # pad to whole coding units, and say so in the headers
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


def _pyav() -> ModuleType:
    try:
        import av
    except ImportError:
        raise CodecError("HEVC needs the package PyAV: pip install av") from None
    return av


@cache
def _x265_version() -> str:
    """The version that x265 writes into a stream; PyAV knows only libavcodec's."""
    try:
        context = _pyav().CodecContext.create("libx265", "w")
        context.width = context.height = _SMALLEST
        context.pix_fmt, context.time_base = "yuv444p", Fraction(1, 25)
        context.options = {"x265-params": f"info=1:pools=1:frame-threads=1:log-level={_LOG_LEVEL}"}
        grey = np.full((3, _SMALLEST, _SMALLEST), 128, np.uint8)
        frame = _pyav().VideoFrame.from_ndarray(grey, format="yuv444p")
        stream = b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
    except _errors():
        return "(not in this PyAV)"
    found = re.search(rb"x265 \(build \d+\) - ([\w.+-]+)", stream)
    return found[1].decode() if found else "of unknown version"


@cache
def _hm_version(binary: Path) -> str:
    """The version that HM's encoder says it is when it is started with nothing to do."""
    try:
        done = subprocess.run(
            [str(binary)], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return "of unknown version"
    found = re.search(r"Encoder Version \[([\w.+-]+)\]", done.stdout)
    return found[1] if found else "of unknown version"


def _errors() -> tuple[type[Exception], ...]:
    """Return what PyAV (not all of its errors share a base) and the disk may raise."""
    return _pyav().FFmpegError, OSError, ValueError


def _lambda_file() -> str:
    """Return x265's lambda tables for QP 0 to 69 with HM's lambda of intra pictures: square roots, then values.

    One number a line: x265 cuts lines after 2047 characters, and the number there in two.
    """
    lambdas = [0.57 * 2 ** ((qp - 12) / 3) for qp in range(70)]
    return "".join(f"{number!r}\n" for number in [*map(math.sqrt, lambdas), *lambdas])


def _escaped(path: str) -> str:
    return re.sub(r"([\\':])", r"\\\1", path)


def _cropped(stream: bytes, bottom: int, right: int) -> bytes:
    """Write into the stream's headers that a decoder crops these many pixels."""
    av = _pyav()
    window = f"hevc_metadata=crop_bottom={bottom or -1}:crop_right={right or -1}"  # -1: as it is
    with av.open(io.BytesIO(stream), format="hevc") as container:
        crop = av.bitstream.BitStreamFilterContext(window, container.streams.video[0])
        return b"".join(bytes(cropped) for packet in container.demux() for cropped in crop.filter(packet))


def _halved_chroma(planes: np.ndarray) -> np.ndarray:
    """(3, h, w) uint8 of even sides to (h·3/2, w): Y, then Cb and Cr as means of 2×2 samples, rounded half up."""
    chroma = planes[1:].astype(np.uint16)
    sums = chroma[:, ::2, ::2] + chroma[:, 1::2, ::2] + chroma[:, ::2, 1::2] + chroma[:, 1::2, 1::2]
    halved = ((sums + 2) // 4).astype(np.uint8)
    return np.concatenate([planes[0].ravel(), halved.ravel()]).reshape(-1, planes.shape[2])


def _enlarged_chroma(planes: np.ndarray) -> np.ndarray:
    """(h·3/2, w) as `_halved_chroma` gives it to (3, h, w): chroma bilinear about the middle of its 2×2 samples."""
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    chroma = planes[height:].reshape(2, height // 2, width // 2)
    large = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in chroma]
    return np.stack([planes[:height], *large])


def _matrix(full_range: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return BT.601's matrix and offset from RGB to YCbCr, both on 0-255."""
    red, blue = 0.299, 0.114
    luma = np.array([red, 1 - red - blue, blue])
    matrix = np.stack([luma, ([0, 0, 1] - luma) / (2 - 2 * blue), ([1, 0, 0] - luma) / (2 - 2 * red)])
    if full_range:
        return matrix, np.array([0.0, 128, 128])
    return matrix * np.array([[219], [224], [224]]) / 255, np.array([16.0, 128, 128])


def _to_ycbcr(image: np.ndarray, full_range: bool) -> np.ndarray:
    matrix, offset = _matrix(full_range)
    planes = np.rint(image @ matrix.T + offset).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(planes.transpose(2, 0, 1))


def _to_rgb(planes: np.ndarray, full_range: bool) -> np.ndarray:
    matrix, offset = _matrix(full_range)
    image = np.rint((planes.transpose(1, 2, 0) - offset) @ np.linalg.inv(matrix).T)
    return np.ascontiguousarray(image.clip(0, 255).astype(np.uint8))
