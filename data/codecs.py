"""Compressions by name: `jpeg10`, `webp30`, `hevc37`, `avif50`, `none`, and what can be made of them.

A spec is one of

    none                                   no compression (encoded as PNG)
    jpegQ   1 to 100                       4:2:0, baseline, by OpenCV: the same bytes as Pillow's;
                                           jpegQ:444 and jpegQ:422 keep more of the chroma
    webpQ   1 to 100                       lossy, by OpenCV: the same bytes as Pillow's with method=4
    avifQ   0 to 100                       4:2:0, by Pillow; its bytes change with Pillow's version
    hevcQP  0 to 51, also hevcQPfull       all-intra 4:4:4 by x265: see data/hevc.py
    hmQP    0 to 51, also hmQPfull         the same by HM, the reference encoder: see data/hevc.py

where the number may be a range to draw from in training, `jpeg10..95`, and where several may be joined for a
photo that is posted again, `jpeg40>webp30`: compressed by the first, decoded, compressed by the second.
Numbers have no leading zeros, so one compression has one name. JPEG has no quality 0 (libjpeg takes it for 1)
and WebP above 100 would be lossless: both are refused.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, features
from PIL import __version__ as pillow_version

from data.codec_base import Codec, CodecError, QualityCodec, Range, decode_still
from data.hevc import Hevc, Hm

__all__ = ["Codec", "CodecError", "Range", "compress", "decode", "encode", "parse"]


def encode(image: np.ndarray, spec: str) -> bytes:
    """Compress uint8 HWC RGB to the bytes of a whole file or stream; of a chain, those of its last codec.

    Raises CodecError, as do `decode` and `compress`: see `Codec.encode`.
    """
    return parse(spec).encode(image)


def decode(data: bytes, spec: str) -> np.ndarray:
    """Return the uint8 HWC RGB image that `encode` made `data` of, as it looks after the compression."""
    return parse(spec).decode(data)


def compress(image: np.ndarray, spec: str) -> np.ndarray:
    """Return uint8 HWC RGB as it looks after the compression, in the same size."""
    return parse(spec).compress(image)


def parse(spec: str) -> Codec:
    """Return the codec of a spec (the grammar stands at the top of this file). Raises CodecError."""
    if not isinstance(spec, str):
        raise _mistake(spec, "not a text")
    codecs = []
    for part in spec.split(">"):
        try:
            codecs.append(_parse_one(part))
        except CodecError as error:
            raise _mistake(spec, str(error)) from None
    if len(codecs) == 1:
        return codecs[0]
    if any(isinstance(codec, Nothing) for codec in codecs):
        raise _mistake(spec, "none stands alone")
    return Chain(tuple(codecs))


@dataclass(frozen=True)
class Nothing(Codec):
    """No compression: `compress` copies. Its bytes are a PNG file's."""

    def __str__(self) -> str:
        return "none"

    def describe(self) -> str:
        return "no compression"

    def roundtrip(self, image: np.ndarray) -> tuple[np.ndarray, bytes]:
        return self._checked(image).copy(), b""

    def _encode(self, image: np.ndarray) -> bytes:
        return _cv2_encode(self, ".png", image, [])

    def decode(self, data: bytes) -> np.ndarray:
        return decode_still(self, data, "PNG")


class _Cv2Codec(QualityCodec):
    """JPEG and WebP: encoded by OpenCV, decoded by Pillow, which gives the same pixels and refuses damage.

    Bytes made a moment ago are not damaged: `roundtrip` stays within OpenCV, which is faster.
    """

    def roundtrip(self, image: np.ndarray) -> tuple[np.ndarray, bytes]:
        data = self.encode(image)
        return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), data


_SUBSAMPLINGS = {
    "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "422": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}


@dataclass(frozen=True)
class Jpeg(_Cv2Codec):
    """`subsampling`: of the chroma, as the standard writes it without its colons."""

    subsampling: str = "420"

    name, lowest, highest = "jpeg", 1, 100
    title = "JPEG quality"

    def __str__(self) -> str:
        return super().__str__() + (f":{self.subsampling}" if self.subsampling != "420" else "")

    def encoder(self) -> str:
        return f"{':'.join(self.subsampling)}, baseline (OpenCV {cv2.__version__})"

    def _encode(self, image: np.ndarray) -> bytes:
        _check_side(self, image, 65500)
        sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _SUBSAMPLINGS[self.subsampling]]
        return _cv2_encode(self, ".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.quality, *sampling])

    def decode(self, data: bytes) -> np.ndarray:
        return decode_still(self, data, "JPEG")


@dataclass(frozen=True)
class Webp(_Cv2Codec):
    name, lowest, highest = "webp", 1, 100
    title = "lossy WebP quality"

    def encoder(self) -> str:
        return f"method 4 (OpenCV {cv2.__version__})"

    def _encode(self, image: np.ndarray) -> bytes:
        _check_side(self, image, 16383)
        return _cv2_encode(self, ".webp", image, [cv2.IMWRITE_WEBP_QUALITY, self.quality])

    def decode(self, data: bytes) -> np.ndarray:
        return decode_still(self, data, "WEBP")


@dataclass(frozen=True)
class Avif(QualityCodec):
    name, lowest, highest = "avif", 0, 100
    title = "AVIF quality"

    def encoder(self) -> str:
        return f"4:2:0, speed 6 (Pillow {pillow_version})"

    def _encode(self, image: np.ndarray) -> bytes:
        if not features.check("avif"):
            raise CodecError(f"{self}: this Pillow has no AVIF: pip install 'pillow>=11.3'")
        _check_side(self, image, 65535)
        file = io.BytesIO()
        try:
            # Pillow's defaults, written out: another version's defaults would be another compression.
            Image.fromarray(image).save(file, "AVIF", quality=self.quality, subsampling="4:2:0", speed=6, max_threads=1)
        except (OSError, ValueError, RuntimeError) as error:
            raise CodecError(f"{self}: Pillow cannot encode this image ({error})") from None
        return file.getvalue()

    def decode(self, data: bytes) -> np.ndarray:
        return decode_still(self, data, "AVIF")


@dataclass(frozen=True)
class Chain(Codec):
    """Codecs one after the other: each compresses what the one before it has left."""

    codecs: tuple[Codec, ...]

    def __str__(self) -> str:
        return ">".join(map(str, self.codecs))

    @property
    def is_range(self) -> bool:
        return any(codec.is_range for codec in self.codecs)

    @property
    def size_multiple(self) -> int:
        return max(codec.size_multiple for codec in self.codecs)

    def draw(self, rng: np.random.Generator) -> Codec:
        return Chain(tuple(codec.draw(rng) for codec in self.codecs)) if self.is_range else self

    def describe(self) -> str:
        return ", then ".join(codec.describe() for codec in self.codecs)

    def _encode(self, image: np.ndarray) -> bytes:
        for codec in self.codecs[:-1]:
            image = codec.compress(image)
        return self.codecs[-1].encode(image)

    def decode(self, data: bytes) -> np.ndarray:
        return self.codecs[-1].decode(data)

    def roundtrip(self, image: np.ndarray) -> tuple[np.ndarray, bytes]:
        image, data = self._checked(image), b""
        for codec in self.codecs:
            image, data = codec.roundtrip(image)
        return image, data


_CODECS: dict[str, type[QualityCodec]] = {codec.name: codec for codec in (Jpeg, Webp, Avif, Hevc, Hm)}
_NUMBER = "(0|[1-9][0-9]{0,2})"
_SPEC = re.compile(rf"([a-z]+?){_NUMBER}(?:\.\.{_NUMBER})?(full)?(?::([0-9]{{3}}))?")


def _parse_one(text: str) -> Codec:
    if text == "none":
        return Nothing()
    match = _SPEC.fullmatch(text)
    if match is None:
        raise CodecError("a codec's name and a number are needed")
    name, low, high, full, subsampling = match.groups()
    if name not in _CODECS:
        raise CodecError(f"no codec is called {name}")
    quality = int(low) if high is None else Range(int(low), int(high))
    settings: dict[str, bool | str] = {}
    if full:
        if not issubclass(_CODECS[name], Hevc):
            raise CodecError(f"{name} has no 'full'")
        settings["full_range"] = True
    if subsampling:
        if _CODECS[name] is not Jpeg or subsampling not in _SUBSAMPLINGS:
            raise CodecError(f"subsampling is for jpeg, and one of {', '.join(_SUBSAMPLINGS)}")
        settings["subsampling"] = subsampling
    return _CODECS[name](quality, **settings)


def _mistake(given: object, why: str) -> CodecError:
    text = repr(given)
    known = ", ".join(f"{codec.name} {codec.lowest} to {codec.highest}" for codec in _CODECS.values())
    return CodecError(
        f"{text if len(text) <= 60 else text[:57] + '...'} is not a compression ({why}): write none, or a "
        f"codec and its number as in jpeg40 ({known}), jpeg10..95 for a range, jpeg40:444 for full chroma, hevc37full "
        "or hm37full for full-range colours, jpeg40>webp30 for one after the other"
    )


def _check_side(codec: Codec, image: np.ndarray, longest: int) -> None:
    if max(image.shape[:2]) > longest:
        raise CodecError(f"{codec}: {image.shape[1]}x{image.shape[0]} pixels, the format ends at {longest} a side")


def _cv2_encode(codec: Codec, suffix: str, image: np.ndarray, parameters: list[int]) -> bytes:
    if not cv2.haveImageWriter(suffix):
        raise CodecError(f"{codec}: this OpenCV cannot write {suffix}: pip install opencv-python-headless")
    try:
        return cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), parameters)[1].tobytes()
    except cv2.error as error:
        raise CodecError(f"{codec}: OpenCV cannot encode this image ({' '.join(str(error).split())})") from None
