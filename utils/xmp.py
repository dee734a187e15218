"""XMP packets (ISO 16684-1) that last when a photo's pixels change: kept as they are, but for what would be wrong."""

from __future__ import annotations

import re

MOST = 65_000
"""Bytes of a packet that is kept: what a JPEG segment has room for beside the packet's name."""

_ORIENTATION = re.compile(rb"""(tiff:Orientation\s*=\s*["'])\s*[2-8]\s*(?=["'])|(<tiff:Orientation>\s*)[2-8](?=\s*<)""")
_SIZES = rb"(?:tiff:Image(?:Width|Length)|exif:Pixel[XY]Dimension)"
_SIZE = re.compile(
    rb"""\s""" + _SIZES + rb"""\s*=\s*(?:"\d*"|'\d*')|<(?P<name>""" + _SIZES + rb""")>[\s\d]*</(?P=name)>"""
)


def lasting_xmp(packet: bytes) -> bytes:
    """`packet` with the orientation 1, as the pixels are upright, and without the sizes; UTF-8, as in every image."""
    turned = _ORIENTATION.sub(lambda found: (found[1] or found[2]) + b"1", packet)
    return _SIZE.sub(b"", turned)
