"""AVIF by Pillow; its bytes change with Pillow's version."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, features
from PIL import __version__ as pillow_version

from data.codecs.base import CodecError, StillCodec


@dataclass(frozen=True)
class Avif(StillCodec):
    name, lowest, highest = "avif", 0, 100
    title = "AVIF quality"
    pillow_format, longest_side = "AVIF", 65535

    def encoder(self) -> str:
        return f"4:2:0, speed 6 (Pillow {pillow_version})"

    def _encode(self, image: np.ndarray) -> bytes:
        if not features.check("avif"):
            raise CodecError(f"{self}: this Pillow has no AVIF: pip install 'pillow>=11.3'")
        file = io.BytesIO()
        try:
            # Pillow's defaults, written out: another version may have others.
            Image.fromarray(image).save(file, "AVIF", quality=self.quality, subsampling="4:2:0", speed=6, max_threads=1)
        except (OSError, ValueError, RuntimeError) as error:
            raise CodecError(f"{self}: Pillow cannot encode this image ({error})") from None
        return file.getvalue()
