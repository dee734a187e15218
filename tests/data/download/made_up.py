"""A small image as the file of a set, and which files a folder holds."""

from pathlib import Path

import cv2
import skimage.data

PIXELS = skimage.data.coffee()[:12, :20]
PNG = cv2.imencode(".png", PIXELS[..., ::-1])[1].tobytes()


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
