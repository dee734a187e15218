"""Weight files: the published formats and our own, opened without ever running code from them.

    load_weights(network, "experiments/…/best.safetensors")     what training here exports
    load_weights(network, "released.pt")                        a published file of the same network

Published names are translated by a table per network; ours are the modules' own names.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

CONTAINERS = ("params_ema", "params", "state_dict_g", "state_dict")
"""Keys under which a file may hold the weights, the preferred first."""
PREFIXES = ("module.", "model.")
"""What training wrappers leave in front of every name."""

# Network type -> (published name as a regular expression, our name), applied from top to bottom.
# The first row's name stands in every published file and never in ours: it tells the two apart.
PUBLISHED_NAMES: dict[str, list[tuple[str, str]]] = {
    "cisrnet": [
        (r"^shallow_feature_extraction\.", "coarse_first."),
        (r"^coarse_rirg\.(\d+)\.(weight|bias)$", r"coarse_body_last.\2"),
        (r"^coarse_rirg\.(\d+)\.body\.(\d+)\.", r"coarse_groups.\1.blocks.\2."),
        (r"^coarse_rirg\.(\d+)\.conv_last\.", r"coarse_groups.\1.conv."),
        (r"^coarse_upsampler\.1\.", "coarse_last."),
        (r"^coarse_upsampler\.0\.", "coarse_upsampler."),
        (r"^refinement_first\.", "fine.0."),
        (r"^fine_rirg\.(\d+)\.body\.(\d+)\.", r"fine.1.\1.blocks.\2."),
        (r"^fine_rirg\.(\d+)\.conv_last\.", r"fine.1.\1.conv."),
        (r"^refinement_last\.", "fine.2."),
        (r"\.head\.", ".convs."),
        (r"\.spatial_attention\.spatial\.conv\.", ".spatial.conv."),
        (r"\.channel_attention\.conv_fc\.0\.", ".channel.weigh.1."),
        (r"\.channel_attention\.conv_fc\.2\.", ".channel.weigh.3."),
        (r"\.conv_last\.", ".mix."),
    ],
}


class WeightsError(Exception):
    """A weight file that cannot be read or does not fit; one line that names file and tensors."""


def load_weights(module: nn.Module, path: str | Path) -> None:
    """Fill `module` from a published file of the same network or from our own exports and checkpoints.

    Every tensor must be there, and fit; on an error `module` is unchanged.

    Raises:
        WeightsError: no such file, not a weight file, or missing, unexpected or misshapen tensors (named).
    """
    path = Path(path)
    state = read_state(path)
    options = getattr(module, "options", None)
    state = _our_names(state, options.type if options is not None else "")
    expected = module.state_dict()
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    misshapen = [
        f"{name} (file {_shape(state[name])}, network {_shape(expected[name])})"
        for name in expected
        if name in state and state[name].shape != expected[name].shape
    ]
    if missing or unexpected or misshapen:
        found = [("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen)]
        listed = "; ".join(f"{what}: {_some(names)}" for what, names in found if names)
        raise WeightsError(f"{path}: does not fit {_describe(module)}{_written_for(path, options)}: {listed}")
    module.load_state_dict(state)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a weight file by name, on the CPU, without container and wrapper prefixes.

    Raises:
        WeightsError: no such file, or one that is not a weight file (a pickle that would run code is refused).
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weight file")
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 — not a dict
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path}: not a whole safetensors file ({error})") from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types here: pickle, zip, runtime, EOF errors
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"{path}: not a file of plain tensors, refused ({reason[:160]})") from None
    if isinstance(content, dict) and "networks" in content:  # a training checkpoint of ours
        content = content.get("ema") or content["networks"]["generator"]
    for container in CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(container), dict):
            content = content[container]
            break
    tensors = isinstance(content, dict) and content and all(isinstance(v, Tensor) for v in content.values())
    if not tensors:
        raise WeightsError(f"{path}: holds no network weights (looked under {', '.join(CONTAINERS)} and at the top)")
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in content):
            content = {name.removeprefix(prefix): tensor for name, tensor in content.items()}
    return content


def export_weights(module: nn.Module, about: dict[str, str | int | float]) -> bytes:
    """The weights of `module` as safetensors bytes that say what they are.

    The header holds one text, JSON under `about`: `about` and, under `generator`, a generator's options. (One text,
    because the format keeps several in no fixed order, and equal weights shall make equal bytes.)
    """
    options = getattr(module, "options", None)
    if options is not None:
        about = {**about, "generator": options.model_dump(mode="json", exclude={"weights"})}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    return save(tensors, {"about": json.dumps(about)})


def _our_names(state: dict[str, Tensor], type_: str) -> dict[str, Tensor]:
    table = PUBLISHED_NAMES.get(type_)
    if not table or not any(re.search(table[0][0], name) for name in state):
        return state

    def rename(name: str) -> str:
        for published, ours in table:
            name = re.sub(published, ours, name)
        return name

    return {rename(name): tensor for name, tensor in state.items()}


def about(path: Path) -> dict:
    """What one of our exports says of itself (see `export_weights`); empty for any other file.

    Raises:
        WeightsError: no such file, or a damaged one.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weight file")
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            said = json.loads((file.metadata() or {}).get("about", "{}"))
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a whole safetensors file ({error})") from None
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _written_for(path: Path, options: object) -> str:
    """What one of our own files says it was written for, where that differs."""
    written = about(path).get("generator")
    ours = options.model_dump(mode="json") if options is not None else {}
    if not isinstance(written, dict):
        return ""
    differing = [f"{key} {value}" for key, value in written.items() if ours.get(key) != value]
    return f" (written for {', '.join(differing)})" if differing else ""


def _describe(module: nn.Module) -> str:
    options = getattr(module, "options", None)
    return type(module).__name__ + (f" ×{options.scale}" if options is not None else "")


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "scalar"


def _some(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
