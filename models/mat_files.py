"""Weights in MATLAB's files, as two peers publish them, to tensors in torch's layout.

- MatConvNet networks (`net.layers`, version 7.3, an HDF5 file): `layers.<number of a convolution>.weight`, `.bias`.
- AR-CNN's release (version 5): variables `weights_conv1`, `biases_conv1` and so on: `conv1.weight`, `conv1.bias` …

The files are untrusted: no object in them is run, nothing outside them is opened, and what a file says it holds is
compared with its own size before memory is taken for it.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

_MOST_PACKED = 1100
"""Times that deflate can make bytes smaller: no file holds more than this times its size."""
_MOST_BYTES = 1 << 28  # of one network, as float64; the published ones take 5 MB
_MOST_LAYERS = 1000


class MatFileError(ValueError):
    """A MATLAB file that is damaged, too large for its own bytes, or not of a known layout."""


def read_mat(path: Path) -> dict[str, Tensor]:
    """The convolutions of a file, float32, kernels as out×in×height×width.

    Raises:
        MatFileError: as said there; the text does not name the file.
    """
    with path.open("rb") as file:
        begin = file.read(128)
    # Version 7.3 is HDF5 behind 512 bytes of text; the signature stands there, or at the beginning.
    if b"MATLAB 7.3" in begin or begin.startswith(b"\x89HDF"):
        return _matconvnet(path)
    if begin.startswith(b"MATLAB 5.0"):
        return _convolutions(path)
    raise MatFileError("not a MATLAB file of version 5 or 7.3")


def _budget(path: Path) -> int:
    return min(_MOST_BYTES, _MOST_PACKED * path.stat().st_size)


# ------------------------------------------------------------------------------------------------- version 5


def read_variables(path: Path, pattern: str) -> dict[str, np.ndarray]:
    """The variables of a file of version 5 whose whole names fit a regular expression: arrays of finite real numbers.

    Raises:
        MatFileError: a damaged file, more than its size allows, or something else than numbers.
    """
    import scipy.io  # slow to import, and few weight files ask for it

    try:
        shapes = {name: shape for name, shape, _ in scipy.io.whosmat(path, appendmat=False)}
        names = [name for name in shapes if re.fullmatch(pattern, name)]
        if len(names) > _MOST_LAYERS or 8 * sum(math.prod(shapes[name]) for name in names) > _budget(path):
            raise MatFileError("claims to hold more than its own size allows")
        found = scipy.io.loadmat(path, variable_names=names, appendmat=False) if names else {}
    except MatFileError:
        raise
    except Exception as error:  # scipy's reader raises what damaged bytes happen to cause
        raise MatFileError(f"damaged ({type(error).__name__})") from None
    for name in names:
        values = found.get(name)
        if not isinstance(values, np.ndarray) or values.dtype.kind != "f" or values.size == 0:
            raise MatFileError(f"{name} does not hold numbers")
        if not np.isfinite(values).all():
            raise MatFileError(f"{name} holds values that are not finite")
    return {name: found[name] for name in names}


def _convolutions(path: Path) -> dict[str, Tensor]:
    variables = read_variables(path, r"(weights|biases)_conv\d+")
    if not variables:
        raise MatFileError("holds no weights_conv1, biases_conv1 and so on, as AR-CNN's release does")
    state = {}
    for name, values in variables.items():
        kind, conv = name.split("_")
        if kind == "biases":
            state[f"{conv}.bias"] = _tensor(values.ravel())
            continue
        # (in, side·side, out), patches column by column; the last convolution has no axis for its one output.
        if values.ndim == 2:
            values = values[..., None]
        side = math.isqrt(values.shape[1]) if values.ndim == 3 else 0
        if side * side != (values.shape[1] if values.ndim == 3 else 1):
            raise MatFileError(f"{name} has the shape {values.shape}, not that of square kernels")
        kernels = values.reshape(values.shape[0], side, side, values.shape[2])
        state[f"{conv}.weight"] = _tensor(kernels.transpose(3, 0, 2, 1))
    return state


# ----------------------------------------------------------------------------------------------- version 7.3


def _matconvnet(path: Path) -> dict[str, Tensor]:
    try:
        import h5py
    except ModuleNotFoundError:
        raise MatFileError("of version 7.3, which needs the package h5py: pip install h5py") from None
    try:
        with h5py.File(path, "r") as file:
            return _layers(file, h5py, _budget(path))
    except MatFileError:
        raise
    except Exception as error:  # h5py raises what damaged bytes happen to cause
        raise MatFileError(f"damaged, or not a MatConvNet network ({type(error).__name__})") from None


def _layers(file: Any, h5py: Any, budget: int) -> dict[str, Tensor]:
    for name in ("net", "net/layers"):
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise MatFileError("holds no net.layers, as MatConvNet's networks do")
    layers = file["net/layers"]
    references = _read(layers, h5py, _MOST_LAYERS, h5py.ref_dtype).ravel()
    state: dict[str, Tensor] = {}
    number = 0
    for reference in references:
        layer = file[reference]
        if not isinstance(layer, h5py.Group) or "weights" not in layer:
            continue  # an activation, or the loss
        if not isinstance(layer.get("weights", getlink=True), h5py.HardLink):
            raise MatFileError("a layer's weights lie outside the file")
        parts = _read(layer["weights"], h5py, 2, h5py.ref_dtype).ravel()
        if len(parts) != 2:
            raise MatFileError(f"layer {number} has {len(parts)} tensors where a convolution has 2")
        tensors = []
        for part in parts:
            values = _read(file[part], h5py, budget // 8, None)
            budget -= 8 * values.size
            tensors.append(values)
        kernels, bias = tensors
        if kernels.ndim == 3:
            kernels = kernels[None]  # MATLAB drops a last axis of 1: the one output
        if kernels.ndim != 4:
            raise MatFileError(f"layer {number} has a kernel of {kernels.ndim} axes, not 3 or 4")
        state[f"layers.{number}.weight"] = _tensor(kernels.swapaxes(2, 3))  # MATLAB's columns come first
        state[f"layers.{number}.bias"] = _tensor(bias.ravel())
        number += 1
    if not state:
        raise MatFileError("holds no convolutions")
    return state


def _read(dataset: Any, h5py: Any, most: int, dtype: Any) -> np.ndarray:
    """All of a data set of at most `most` values that lie in this file; `dtype` None: numbers of 4 or 8 bytes."""
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise MatFileError("a tensor is missing")
    if dataset.external or dataset.is_virtual:
        raise MatFileError("a tensor lies outside the file")
    fits = dataset.dtype.kind == "f" and dataset.dtype.itemsize in (4, 8) if dtype is None else dataset.dtype == dtype
    if not fits:
        raise MatFileError(f"a tensor of type {dataset.dtype} where another is needed")
    if dataset.size > most:
        raise MatFileError("claims to hold more than its own size allows")
    values: np.ndarray = dataset[()]
    return values


def _tensor(values: np.ndarray) -> Tensor:
    if not np.isfinite(values).all():
        raise MatFileError("holds values that are not finite")
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
