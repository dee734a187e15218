"""Weight files as they lie on disk: safetensors with a checksum of our own, and what `torch.save` writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from models.mat_files import MatFileError, read_mat
from utils.errors import UserError
from utils.torch_files import TorchFileError, foreign_kind, load_torch_file

CONTAINERS = ("params_ema", "params", "state_dict_g", "state_dict", "model_state_dict", "model", "net")
"""Keys under which a file may hold the weights, the preferred first."""

_CHECKSUM = "sha256"
_SHARED = 4  # a file's tensors may share storage, such as tied layers do, up to this many times its bytes


class WeightsError(UserError):
    """A weight file that cannot be read or does not fit; one line that names file and tensors."""


def export_weights(module: nn.Module, about: dict[str, Any]) -> bytes:
    """The weights of `module` as safetensors bytes that say what they are.

    The header holds one text, JSON under `about`: `about`, under `generator` a generator's options, its calibration if
    it has one, and under `sha256` a checksum of all that and of the tensors. (One text, because the format keeps
    several in no fixed order, and equal weights shall make equal bytes.)
    """
    options = getattr(module, "options", None)
    if options is not None:
        about = {**about, "generator": options.model_dump(mode="json", exclude={"weights"})}
    if (calibration := getattr(module, "calibration", None)) is not None:
        about = {**about, **calibration.written()}
    return as_safetensors(module.state_dict(), about)


def as_safetensors(tensors: Mapping[str, Tensor], about: dict[str, Any]) -> bytes:
    """`tensors` as the bytes of a file, as `export_weights` describes it."""
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    return save(tensors, {"about": json.dumps({**about, _CHECKSUM: _checksum(tensors, about)})})


def about(path: Path) -> dict[str, Any]:
    """What one of our exports says of itself (see `export_weights`), its checksum left out; empty for any other file.

    Raises:
        WeightsError: no such file, or a damaged one.
    """
    if not _is_safetensors(path):
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            said = _said(file.metadata())
    except (SafetensorError, OSError) as error:
        raise _not_whole(path, error) from None
    return {key: value for key, value in said.items() if key != _CHECKSUM}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a weight file by the names that stand there, on the CPU, taken out of their container.

    Which format it is, its first bytes say, whatever its suffix.

    Raises:
        WeightsError: no such file, one that is damaged (where it has checksums, they are compared), or one without
            weights (a pickle that would run code is refused).
    """
    if path.suffix.lower() == ".mat":
        tensors = _read_mat(path)
    else:
        tensors = _read_safetensors(path) if _is_safetensors(path) else _read_torch(path)
    size, largest = path.stat().st_size, 0
    for name, tensor in tensors.items():
        if not _is_plain(tensor):
            raise WeightsError(f"{path}: {name} is not a plain tensor; refused")
        largest += tensor.nbytes
    if largest > _SHARED * size + 4096:
        raise WeightsError(f"{path}: its tensors take {largest} bytes, and the file has {size}; refused")
    return tensors


def refuse_not_finite(tensors: Iterable[tuple[str, Tensor]], path: Path | str) -> None:
    """The guard of all that loads a network: what NaN or infinite weights restore is no picture.

    Raises:
        WeightsError: names the first tensor that holds such a number.
    """
    for name, tensor in tensors:
        numbers = tensor.float() if tensor.dtype.itemsize == 1 else tensor  # torch cannot ask 8-bit floats
        if not numbers.isfinite().all():
            raise WeightsError(
                f"{path}: {name} holds numbers that are not finite: a training that diverged, or damage; "
                "take an earlier checkpoint or another copy"
            )


def _is_safetensors(path: Path) -> bool:
    """Whether a file is to be read as safetensors.

    Raises:
        WeightsError: no such file, or one that can be no weights at all.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weight file")
    try:
        if kind := foreign_kind(path):
            raise WeightsError(f"{path}: {kind}")
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from None
    length = int.from_bytes(head[:8], "little")
    if head[8:] == b"{" and length <= path.stat().st_size - 8:
        return True
    return path.suffix.lower() == ".safetensors" and not head.startswith(b"PK")


def _read_mat(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(f"{path}: no such weight file")
    try:
        return read_mat(path)
    except (MatFileError, OSError) as error:
        raise WeightsError(f"{path}: {error}") from None


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            said = _said(file.metadata())
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 — not a dict
    except (SafetensorError, OSError) as error:
        raise _not_whole(path, error) from None
    checksum = said.pop(_CHECKSUM, None)
    if checksum is not None and checksum != _checksum(tensors, said):
        raise WeightsError(f"{path}: damaged: it is not what its checksum was taken of; get a whole copy")
    return tensors


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        content = load_torch_file(path)
    except (TorchFileError, OSError) as error:
        raise WeightsError(f"{path}: {error}") from None
    if isinstance(content, dict) and isinstance(content.get("networks"), dict):  # a training checkpoint of ours
        content = content.get("ema") or content["networks"].get("generator")
    for container in CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(container), dict):
            content = content[container]
            break
    named = isinstance(content, dict) and all(isinstance(name, str) for name in content)
    if not named or not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{path}: holds no network weights (looked under {', '.join(CONTAINERS)} and at the top)")
    return content


def _said(metadata: dict[str, str] | None) -> dict[str, Any]:
    try:
        said = json.loads((metadata or {}).get("about", "{}"))
    except (ValueError, RecursionError):  # a file of others has what it likes there
        return {}
    return said if isinstance(said, dict) else {}


def _checksum(tensors: Mapping[str, Tensor], about: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _is_plain(tensor: Tensor) -> bool:
    dense = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    return dense and tensor.nbytes <= tensor.untyped_storage().nbytes()


def _not_whole(path: Path, error: Exception) -> WeightsError:
    return WeightsError(f"{path}: not a whole safetensors file ({error})")
