"""A network at scale 1 on pixels and steps alone, without what `restore` adds: cell, traces, untouched images."""

import numpy as np
import torch

from data.jpeg_files.quantisation import Steps
from inference.forward import forward
from inference.whole_image import to_uint8, to_unit_range
from models import Generator


def restored_alone(network: Generator, image: np.ndarray, steps: Steps) -> np.ndarray:
    """`image` (uint8 h×w×3 RGB) through a network that is told these quantisation steps; uint8 of the same shape."""
    with torch.inference_mode():
        return to_uint8(forward(network, to_unit_range(torch.from_numpy(image)[None]), steps)[0])
