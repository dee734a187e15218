"""Compressions by name: `jpeg10`, `webp30`, `hevc37`, `avif50`, `none`, and what can be made of them.

A spec is one of

    none                                   no compression (encoded as PNG)
    jpegQ   1 to 100                       4:2:0, baseline, by OpenCV: the same bytes as Pillow's;
                                           jpegQ:444 and jpegQ:422 keep more of the chroma, jpegQ:400 none
    webpQ   1 to 100                       lossy, by OpenCV: the same bytes as Pillow's with method=4
    avifQ   0 to 100                       4:2:0, by Pillow; its bytes change with Pillow's version
    hevcQP  0 to 51, also hevcQPfull       all-intra 4:4:4 by x265: see data/codecs/hevc.py; hevcQP:420 and
                                           hevcQPfull:420 with half the chroma's rows and columns
    hmQP    0 to 51, also hmQPfull         the same by HM, the reference encoder: see data/codecs/hevc.py

where the number may be a range to draw from in training, `jpeg10..95`, and where several may be joined for a
photo that is posted again, `jpeg40>webp30`: compressed by the first, decoded, compressed by the second, with a
shift of the block grid or a resize before a codec where one is wanted: `jpeg30>shift4,4>jpeg50`,
`jpeg80>resize0.5>jpeg70` (data/codecs/chain.py). A shift may be a range too, `shift0..7,0..7`; it keeps the picture's
size. A resize does not: the original is then resized alike, which evaluation sets at scale 1 do and training does not.
Numbers have no leading zeros, so one compression has one name. JPEG has no quality 0 (libjpeg takes it for 1)
and WebP above 100 would be lossless: both are refused.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from PIL import Image, features
from PIL import __version__ as pillow_version

from data.codecs.base import Codec, CodecError, QualityCodec, Range, decode_still
from data.codecs.chain import Chain, parse_step
from data.codecs.hevc import Hevc, Hm

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
            codecs.append(parse_step(part) or _parse_one(part))
        except CodecError as error:
            raise _mistake(spec, str(error)) from None
    if len(codecs) == 1 and isinstance(codecs[0], Codec):
        return codecs[0]
    if any(isinstance(codec, Nothing) for codec in codecs):
        raise _mistake(spec, "none stands alone")
    try:
        return Chain(tuple(codecs))
    except CodecError as error:
        raise _mistake(spec, str(error)) from None


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
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), data


_SAMPLING_FACTORS = {
    "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "422": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}


@dataclass(frozen=True)
class Jpeg(_Cv2Codec):
    """`subsampling`: of the chroma, as the standard writes it without its colons; 400 is one component, Y."""

    subsampling: str = "420"

    name, lowest, highest = "jpeg", 1, 100
    title = "JPEG quality"

    def __str__(self) -> str:
        return super().__str__() + (f":{self.subsampling}" if self.subsampling != "420" else "")

    def of_grey(self) -> Codec:
        return replace(self, subsampling="400")

    def encoder(self) -> str:
        return f"{':'.join(self.subsampling)}, baseline (OpenCV {cv2.__version__})"

    def _encode(self, image: np.ndarray) -> bytes:
        _check_side(self, image, 65500)
        if self.subsampling == "400":
            # OpenCV makes Y of colours by JPEG's own weights; a grey image stays as it is.
            return _cv2_encode(self, ".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.one_quality], cv2.COLOR_RGB2GRAY)
        sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _SAMPLING_FACTORS[self.subsampling]]
        return _cv2_encode(self, ".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.one_quality, *sampling])

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
        return _cv2_encode(self, ".webp", image, [cv2.IMWRITE_WEBP_QUALITY, self.one_quality])

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


_CODECS: dict[str, type[QualityCodec]] = {codec.name: codec for codec in (Jpeg, Webp, Avif, Hevc, Hm)}
_CHROMA: dict[type[QualityCodec], tuple[str, ...]] = {
    Jpeg: ("400", *_SAMPLING_FACTORS),
    Hevc: Hevc.subsamplings,
    Hm: Hm.subsamplings,
}
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
    settings: dict[str, Any] = {}
    if full:
        if not issubclass(_CODECS[name], Hevc):
            raise CodecError(f"{name} has no 'full'")
        settings["full_range"] = True
    if subsampling:
        known = _CHROMA.get(_CODECS[name], ())
        if subsampling not in known:
            raise CodecError(f"subsampling of {name} is one of {', '.join(known)}" if known else f"{name} has none")
        settings["subsampling"] = subsampling
    return _CODECS[name](quality, **settings)


def _mistake(given: object, why: str) -> CodecError:
    text = repr(given)
    known = ", ".join(f"{codec.name} {codec.lowest} to {codec.highest}" for codec in _CODECS.values())
    return CodecError(
        f"{text if len(text) <= 60 else text[:57] + '...'} is not a compression ({why}): write none, or a "
        f"codec and its number as in jpeg40 ({known}), jpeg10..95 for a range, jpeg40:444 for full chroma, hevc37full "
        "or hm37full for full-range colours, jpeg40>webp30 for one after the other, shift4,4> or resize0.5> before one"
    )


def _check_side(codec: Codec, image: np.ndarray, longest: int) -> None:
    if max(image.shape[:2]) > longest:
        raise CodecError(f"{codec}: {image.shape[1]}x{image.shape[0]} pixels, the format ends at {longest} a side")


def _cv2_encode(
    codec: Codec, suffix: str, image: np.ndarray, parameters: list[int], colours: int = cv2.COLOR_RGB2BGR
) -> bytes:
    if not cv2.haveImageWriter(suffix):
        raise CodecError(f"{codec}: this OpenCV cannot write {suffix}: pip install opencv-python-headless")
    try:
        return cv2.imencode(suffix, cv2.cvtColor(image, colours), parameters)[1].tobytes()
    except cv2.error as error:
        raise CodecError(f"{codec}: OpenCV cannot encode this image ({' '.join(str(error).split())})") from None
