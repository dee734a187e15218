"""Weight files: the published formats and our own, opened without ever running code from them.

    load_weights(network, "experiments/…/best.safetensors")     what training here exports
    load_weights(network, "released.pt")                        a published file of the same network
    load_weights(cisr_psi, "prior.pth")                         its non-local prior alone, into both operators

Published names are translated by a table per network; ours are the modules' own names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from models.mat_files import MatFileError, read_mat
from models.nonlocal_prior import NonLocalPrior

CONTAINERS = ("params_ema", "params", "state_dict_g", "state_dict", "model_state_dict", "model", "net")
"""Keys under which a file may hold the weights, the preferred first."""
PREFIXES = ("module.", "model.")
"""What training wrappers leave in front of every name."""

# Network type -> (published name as a regular expression, our name), applied from top to bottom.
# The first row's name stands in every published file and never in ours: it tells the two apart.
# A name that becomes empty is left out: fixed kernels that our modules do not keep.
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
    # Ours are BasicSR's names, so that files go both ways; these rows are SubjectiveQE-ESRGAN's and ESRGAN's.
    "rrdbnet": [
        (r"^(?:rrdb_lst|RRDB_trunk)\.", "body."),
        (r"^body\.(\d+)\.RDB(\d)\.", r"body.\1.rdb\2."),
        (r"^conv_in\.", "conv_first."),
        (r"^(?:conv_mid|trunk_conv)\.", "conv_body."),
        (r"^upconv(\d)\.", r"conv_up\1."),
        (r"^HRconv\.", "conv_hr."),
        (r"^conv_out\.", "conv_last."),
    ],
    "cisr_psi": [
        (r"^SR\.tail\.1\.", "rem.last."),
        (r"^SR\.tail\.0\.", "rem.upsampler."),
        (r"^SR\.", "rem."),
        (r"^deblock\.", "arm."),
        (r"^distill\.", "arm.distill."),
        (r"^nonlocal[12]\.(kernel|kernel_y|sobel_x|sobel_y)$", ""),
        (r"^nonlocal1\.conv1\.", "arm.prior.bandwidth."),
        (r"^nonlocal2\.conv1\.", "rem.prior.bandwidth."),
        (r"\.weight_3\.", ".combine.weigh."),
        (r"\.head\.0\.", ".head."),
        (r"\.body\.(\d+)\.body\.(\d+)\.body\.3\.conv_du\.0\.", r".groups.\1.blocks.\2.attention.weigh.1."),
        (r"\.body\.(\d+)\.body\.(\d+)\.body\.3\.conv_du\.2\.", r".groups.\1.blocks.\2.attention.weigh.3."),
        (r"\.body\.(\d+)\.body\.(\d+)\.body\.", r".groups.\1.blocks.\2.convs."),
        (r"\.body\.(\d+)\.body\.\d+\.(weight|bias)$", r".groups.\1.conv.\2"),
    ],
    # Both of what `models.mat_files` reads.
    "dncnn": [(rf"^layers\.{number}\.", f"body.{2 * number}.") for number in range(64)],
    "arcnn": [
        (r"^conv1\.", "extract."),
        (r"^conv2\.", "enhance."),
        (r"^conv22\.", "map."),
        (r"^conv3\.", "reconstruct."),
    ],
    "nonlocal_prior": [
        (r"^conv1\.", "bandwidth."),
        (r"^(kernel|kernel_y|sobel_x|sobel_y)$", ""),
    ],
}


class WeightsError(Exception):
    """A weight file that cannot be read or does not fit; one line that names file and tensors."""


def load_weights(module: nn.Module, path: str | Path, *, whole: bool = False, may_differ: Sequence[str] = ()) -> None:
    """Fill `module` from a published file of the same network or from our own exports and checkpoints.

    Every tensor must be there, and fit; on an error `module` is unchanged. One kind of file fills a part: a
    non-local prior's alone goes into every non-local operator of a larger network, unless `whole` forbids it.

    Args:
        may_differ: patterns (`rem.upsampler.*`) of our names of tensors that are left as they are in `module`; the
            file must then be of a whole network. Each pattern must match a tensor that does not fit: one that fits
            everywhere is a slip of the pen.

    Raises:
        WeightsError: no such file, not a weight file, missing, unexpected or misshapen tensors (named), or a pattern
            that stands for none of these.
    """
    path = Path(path)
    state = read_state(path)
    operators = [part for part in module.modules() if isinstance(part, NonLocalPrior)]
    prior = _names_in_file(state, "nonlocal_prior")
    if operators and prior.keys() == operators[0].state_dict().keys():
        if (whole or may_differ) and module is not operators[0]:
            raise WeightsError(f"{path}: holds a non-local prior alone, not a whole {_describe(module)}")
        for operator in operators:
            _fill(operator, state, prior, path)
        return
    options = getattr(module, "options", None)
    names = _names_in_file(state, options.type if options is not None else "")
    left = _left_out(module, state, names, may_differ, path)
    _fill(module, state, {name: in_file for name, in_file in names.items() if name not in left}, path, left)


def _left_out(
    module: nn.Module, state: dict[str, Tensor], names: dict[str, str], patterns: Sequence[str], path: Path
) -> set[str]:
    """Our names of the tensors, of network and file, that the patterns leave out; refuses patterns without need."""
    ours = module.state_dict()
    every = {*ours, *names}
    differing = [n for n in every if n not in ours or n not in names or ours[n].shape != state[names[n]].shape]
    idle = [repr(pattern) for pattern in patterns if not any(fnmatchcase(name, pattern) for name in differing)]
    if idle:
        raise WeightsError(
            f"{path}: no tensor that differs from {_describe(module)}'s matches {_some(idle)}; "
            "correct or remove the pattern"
        )
    left = {name for name in every if any(fnmatchcase(name, pattern) for pattern in patterns)}
    if patterns and left >= ours.keys():
        raise WeightsError(f"{path}: {_some([repr(p) for p in patterns])} leaves nothing of it to load; list fewer")
    return left


def _fill(
    module: nn.Module, state: dict[str, Tensor], names: dict[str, str], path: Path, left: Collection[str] = ()
) -> None:
    """`names`: our name of every tensor → its name in the file; those in `left` stay as they are in `module`."""
    options = getattr(module, "options", None)
    expected = {name: tensor for name, tensor in module.state_dict().items() if name not in left}
    missing = [_as_in_file(name, names) for name in expected if name not in names]
    unexpected = [in_file for name, in_file in names.items() if name not in expected]
    misshapen = [
        f"{names[name]} (file {_shape(state[names[name]])}, network {_shape(tensor)})"
        for name, tensor in expected.items()
        if name in names and state[names[name]].shape != tensor.shape
    ]
    if missing or unexpected or misshapen:
        found = [("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen)]
        listed = "; ".join(f"{what}: {_some(names)}" for what, names in found if names)
        raise WeightsError(f"{path}: does not fit {_describe(module)}{_written_for(path, options)}: {listed}")
    # Strict by the comparison above; torch's own does not know what is left out.
    module.load_state_dict({name: state[in_file] for name, in_file in names.items()}, strict=not left)


def read_renamed(path: str | Path, type_: str) -> dict[str, Tensor]:
    """The tensors of a weight file for a network of type `type_`, under our names.

    Raises:
        WeightsError: as `read_state`.
    """
    state = read_state(Path(path))
    return {name: state[in_file] for name, in_file in _names_in_file(state, type_).items()}


def read_state(path: Path) -> dict[str, Tensor]:
    """`read_tensors` without wrapper prefixes.

    Raises:
        WeightsError: as `read_tensors`.
    """
    state = read_tensors(path)
    if path.suffix != ".safetensors":
        for prefix in PREFIXES:
            if all(name.startswith(prefix) for name in state):
                state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a weight file by the names that stand there, on the CPU, taken out of their container.

    Raises:
        WeightsError: no such file, or one without weights (a pickle that would run code is refused).
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weight file")
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 — not a dict
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path}: not a whole safetensors file ({error})") from None
    if path.suffix == ".mat":
        try:
            return read_mat(path)
        except (MatFileError, OSError) as error:
            raise WeightsError(f"{path}: {error}") from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types here: pickle, zip, runtime, EOF errors
        asked = re.search(r"GLOBAL (\S+)", str(error))  # torch goes on to advise switching its check off
        reason = f"it asks for {asked[1]}" if asked else type(error).__name__
        raise WeightsError(f"{path}: not a file of plain tensors, refused ({reason})") from None
    if isinstance(content, dict) and "networks" in content:  # a training checkpoint of ours
        content = content.get("ema") or content["networks"]["generator"]
    for container in CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(container), dict):
            content = content[container]
            break
    tensors = isinstance(content, dict) and content and all(isinstance(v, Tensor) for v in content.values())
    if not tensors:
        raise WeightsError(f"{path}: holds no network weights (looked under {', '.join(CONTAINERS)} and at the top)")
    return content


def export_weights(module: nn.Module, about: dict[str, str | int | float]) -> bytes:
    """The weights of `module` as safetensors bytes that say what they are.

    The header holds one text, JSON under `about`: `about` and, under `generator`, a generator's options. (One text,
    because the format keeps several in no fixed order, and equal weights shall make equal bytes.)
    """
    options = getattr(module, "options", None)
    if options is not None:
        about = {**about, "generator": options.model_dump(mode="json", exclude={"weights"})}
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in module.state_dict().items()}
    return save(tensors, {"about": json.dumps(about)})


def _names_in_file(state: dict[str, Tensor], type_: str) -> dict[str, str]:
    """Our name of every tensor -> its name in the file."""
    table = PUBLISHED_NAMES.get(type_)
    if not table or not any(re.search(table[0][0], name) for name in state):
        return {name: name for name in state}
    names: dict[str, str] = {}
    for in_file in state:
        name = in_file
        for published, ours in table:
            name = re.sub(published, ours, name)
        if not name:
            continue
        # Two names for one tensor: the second stays under a name that no network has, and is reported.
        names[name if name not in names else f"second {name}"] = in_file
    return names


def _as_in_file(missing: str, names: dict[str, str]) -> str:
    """What the file would call a tensor that it lacks, told by the layer's other tensors; else our name."""
    layer, _, leaf = missing.rpartition(".")
    for name, in_file in names.items():
        if name.rpartition(".")[0] == layer:
            return f"{in_file.rpartition('.')[0]}.{leaf}"
    return missing


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
