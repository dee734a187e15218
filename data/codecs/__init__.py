"""Compressions by name: `jpeg10`, `webp30`, `hevc37`, `avif50`, `none`, and chains of these.

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
`jpeg80>resize0.5>jpeg70`, `longest1080>jpeg70` (data/codecs/steps.py). A shift and a resize may be ranges too,
`shift0..7,0..7`, `resize0.5..1`. A shift keeps the picture's size. A resize does not: the original is resized alike.
Numbers have no leading zeros, so one compression has one name. JPEG has no quality 0 (libjpeg takes it for 1)
and WebP above 100 would be lossless: both are refused.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from data.codecs.avif import Avif
from data.codecs.base import Codec, CodecError, QualityCodec, Range
from data.codecs.chain import Chain
from data.codecs.hevc import Hevc
from data.codecs.hm import Hm
from data.codecs.jpeg import Jpeg
from data.codecs.nothing import Nothing
from data.codecs.steps import parse_step
from data.codecs.webp import Webp

__all__ = ["Codec", "CodecError", "Range", "compress", "decode", "encode", "parse"]

_CODECS: dict[str, type[QualityCodec]] = {codec.name: codec for codec in (Jpeg, Webp, Avif, Hevc, Hm)}


def encode(image: np.ndarray, spec: str) -> bytes:
    """Compress uint8 HWC RGB to the bytes of a file or stream; a chain returns those of its last codec.

    Raises CodecError, as do `decode` and `compress`: see `Codec.encode`.
    """
    return parse(spec).encode(image)


def decode(data: bytes, spec: str) -> np.ndarray:
    """Decode the result of `encode` to a uint8 HWC RGB image."""
    return parse(spec).decode(data)


def compress(image: np.ndarray, spec: str) -> np.ndarray:
    """Encode and decode uint8 HWC RGB; the size does not change."""
    return parse(spec).compress(image)


def parse(spec: str) -> Codec:
    """Return the codec of a spec (see the top of this file). Raises CodecError."""
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
        known = _CODECS[name].subsamplings
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
        "or hm37full for full-range colours, jpeg40>webp30 for one after the other, shift4,4>, resize0.5> or "
        "longest1080> before one"
    )
