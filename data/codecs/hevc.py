"""HEVC, one picture, all intra, 4:4:4 or 4:2:0, 8 bits, by x265 through PyAV (data/codecs/hm.py: by HM).

Studies of HEVC's artefacts use HM, the reference encoder, at a fixed QP. x265 is several times as fast and is installed
by pip, but its defaults differ: I slices are coded three QP steps below the requested one, chroma six above, and x265
trades rate against distortion by its own lambda. This file sets all three to HM's. The result is close to that of
HM 16.5 (over QP 22 to 42 within 0.06 dB of Y-PSNR and 0.13 dB of RGB-PSNR, at 4.4 % more rate on average), but the
pixels differ.

RGB is converted to YCbCr by the BT.601 matrix in limited range (Y 16 to 235) unless `full_range`, rounded to 8 bits,
and back. For 4:2:0 the means of 2×2 chroma samples are encoded, and enlarged bilinearly about their centres. The
stream repeats an odd last row or column, and `roundtrip` removes the copy.

`encode` returns a raw Annex B stream (`.hevc`) whose headers carry the image's size (for 4:2:0 the next even one). An
end-of-bitstream mark (5 bytes) at its end tells `decode` a complete stream from a truncated one, whose missing part the
decoder would fill in silently. Damage inside a stream is not noticed, as in any player.
"""

from __future__ import annotations

import io
import math
import re
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from types import ModuleType
from typing import ClassVar

import numpy as np

from data.codecs.base import CodecError, QualityCodec
from data.codecs.ycbcr import enlarged_chroma, halved_chroma, to_rgb, to_ycbcr
from utils.images import MAX_PIXELS

_SMALLEST = 16  # pixels a side: x265 refuses less
_LARGEST = 16384
_END_OF_BITSTREAM = b"\x00\x00\x01\x4a\x01"
_LOG_LEVEL = "none"  # of x265; "info" prints the average QP, "debug" the lambda tables


@dataclass(frozen=True)
class Hevc(QualityCodec):
    """x265 at a fixed QP (`quality`), with HM's I-slice QP, chroma QP and lambda.

    `subsampling`: 444 keeps the size of the chroma, 420 halves its rows and columns.
    """

    full_range: bool = False
    subsampling: str = "444"

    subsamplings: ClassVar[tuple[str, ...]] = ("444", "420")

    name, lowest, highest = "hevc", 0, 51
    title = "HEVC QP"
    size_multiple = 8  # HM's smallest coding unit; SubjectiveQE-ESRGAN crops its data set to it

    def __str__(self) -> str:
        halved = f":{self.subsampling}" if self.subsampling != "444" else ""
        return super().__str__() + ("full" if self.full_range else "") + halved

    def encoder(self) -> str:
        return (
            f"{self._format()}, by x265 {_x265_version()} with preset slow, tune psnr and HM's I-slice QP, chroma QP "
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
            stream = self._stream(to_ycbcr(padded, self.full_range))
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
        """See `Codec.decode`; 4:2:0 returns an image of odd size with one more row or column."""
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
            planes = enlarged_chroma(planes)
        return to_rgb(planes, self.full_range)

    def _format(self) -> str:
        return f"{':'.join(self.subsampling)} 8 bit, all intra, BT.601 {'full' if self.full_range else 'limited'} range"

    def _stream(self, planes: np.ndarray) -> bytes:
        """Encode (3, height, width) uint8 YCbCr, for 4:2:0 of even sides, to an Annex B stream."""
        height, width = planes.shape[1:]
        if self.subsampling == "420":
            planes = halved_chroma(planes)
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
            # One frame thread and one pool thread, so that processes can run in parallel. WPP stays on:
            # it changes the pixels, but makes them independent of the number of pool threads.
            context.thread_count = 1
            context.options = {
                "preset": "slow",
                "tune": "psnr",  # psy-rd would add 6 to the chroma QP in 4:4:4
                "x265-params": f"qp={self.quality}:keyint=1:ipratio=1.0:cbqpoffs=0:crqpoffs=0:info=0:pools=1:"
                # x265 keeps this file for the rest of the process: pass it every time.
                f"lambda-file={_escaped(lambdas.name)}:log-level={_LOG_LEVEL}",
            }
            frame = av.VideoFrame.from_ndarray(planes, format=context.pix_fmt)
            return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


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


def _errors() -> tuple[type[Exception], ...]:
    """Return the errors that PyAV (they have no common base) and the disk may raise."""
    return _pyav().FFmpegError, OSError, ValueError


def _lambda_file() -> str:
    """Return x265's lambda tables for QP 0 to 69 with HM's lambda of intra pictures: square roots, then values.

    One number per line: x265 splits lines after 2047 characters, within a number.
    """
    lambdas = [0.57 * 2 ** ((qp - 12) / 3) for qp in range(70)]
    return "".join(f"{number!r}\n" for number in [*map(math.sqrt, lambdas), *lambdas])


def _escaped(path: str) -> str:
    return re.sub(r"([\\':])", r"\\\1", path)


def _cropped(stream: bytes, bottom: int, right: int) -> bytes:
    """Set the number of pixels that a decoder crops, in the headers of the stream."""
    av = _pyav()
    window = f"hevc_metadata=crop_bottom={bottom or -1}:crop_right={right or -1}"  # -1: unchanged
    with av.open(io.BytesIO(stream), format="hevc") as container:
        crop = av.bitstream.BitStreamFilterContext(window, container.streams.video[0])
        return b"".join(bytes(cropped) for packet in container.demux() for cropped in crop.filter(packet))
