"""Weights into networks: compared with the network before anything is loaded, under the names of any published format.

    load_weights(network, "experiments/…/best.safetensors")     what training here exports
    load_weights(network, "released.pt")                        a published file of the same network
    load_weights(cisr_psi, "prior.pth")                         its non-local prior alone, into both operators

Published names are translated by a table per network (`models.published_names`); ours are the modules' own names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from models.generator import GeneratorOptions
from models.nonlocal_prior import NonLocalPrior
from models.published_names import as_in_file, names_in_file
from models.weight_files import WeightsError, about, read_tensors, refuse_not_finite

PREFIXES = ("module.", "model.", "_orig_mod.")
"""What training wrappers leave in front of every name: of several processes, of a recipe, of `torch.compile`."""

_LEAST_CEILING = 2000  # tensors of a network that any file may be compared with
_NOT_WEIGHTS = ("n_averaged",)  # AveragedModel's counter stands beside the network that it wraps

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class _Part:
    """A module and what fills it: our name of every tensor → its name in the file, `left` as they are."""

    module: nn.Module
    names: dict[str, str]
    left: Collection[str] = ()


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
    for part in _parts(module, state, path, whole=whole, may_differ=may_differ):
        _fill(part, state)


def build_with_weights(make: Callable[[], Module], path: Path) -> Module:
    """What `make` builds, filled from a file of the whole network.

    What a file says of itself decides how large `make` builds, so it is built twice: first as an outline without
    memory and with a ceiling, which is compared with the file.

    Raises:
        WeightsError: as `load_weights`, or a network far larger than the file.
    """
    state = read_state(path)
    with torch.device("meta"), _NothingFilled(), ceiling(path, tensors=max(_LEAST_CEILING, 2 * len(state))):
        outline = make()
    [whole] = _parts(outline, state, path, whole=True)
    module = make()
    _fill(replace(whole, module=module), state)
    return module


class _NothingFilled(TorchFunctionMode):
    """Tensors are made and not filled: without memory there is nothing to fill, and torch takes seconds to find out."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Collection[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        name = func.__name__
        if name.endswith("_") and not name.endswith("__"):  # in place: initialisations
            return args[0] if args else next(iter((kwargs or {}).values()))
        return func(*args, **(kwargs or {}))


@contextmanager
def ceiling(path: Path, *, tensors: int, numbers: float = math.inf) -> Iterator[None]:
    """A network that is made within has no more parameters than this, and they no more numbers, or it is not finished.

    (A parameter takes memory when it is initialised, and it is counted before.)

    Raises:
        WeightsError: it would have more; `path` is the file that it is made for.
    """
    found_tensors = found_numbers = 0

    def note(_module: nn.Module, _name: str, parameter: nn.Parameter | None) -> None:
        nonlocal found_tensors, found_numbers
        found_tensors += 1
        found_numbers += 0 if parameter is None else parameter.numel()
        if found_tensors > tensors or found_numbers > numbers:
            raise WeightsError(f"{path}: asks for a network that is far larger than the file; refused")

    hook = register_module_parameter_registration_hook(note)
    try:
        yield
    finally:
        hook.remove()


def _parts(
    module: nn.Module, state: dict[str, Tensor], path: Path, *, whole: bool, may_differ: Sequence[str] = ()
) -> list[_Part]:
    """What of `module` is filled from which tensors of the file; raises where they do not fit."""
    operators = [part for part in module.modules() if isinstance(part, NonLocalPrior)]
    prior = names_in_file(state, "nonlocal_prior")
    if operators and prior.keys() == operators[0].state_dict().keys():
        if (whole or may_differ) and module is not operators[0]:
            raise WeightsError(f"{path}: holds a non-local prior alone, not a whole {_describe(module)}")
        parts = [_Part(operator, prior) for operator in operators]
    else:
        options = getattr(module, "options", None)
        names = names_in_file(state, options.type if options is not None else "")
        left = _left_out(module, state, names, may_differ, path)
        parts = [_Part(module, {name: in_file for name, in_file in names.items() if name not in left}, left)]
    for part in parts:
        _check_fit(part, state, path)
    refuse_not_finite(((in_file, state[in_file]) for in_file in parts[0].names.values()), path)
    return parts


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


def _check_fit(part: _Part, state: dict[str, Tensor], path: Path) -> None:
    module, names = part.module, part.names
    options = getattr(module, "options", None)
    expected = {name: tensor for name, tensor in module.state_dict().items() if name not in part.left}
    missing = [as_in_file(name, names) for name in expected if name not in names]
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


def _fill(part: _Part, state: dict[str, Tensor]) -> None:
    # Strict by the comparison before; torch's own does not know what is left out.
    part.module.load_state_dict({name: state[in_file] for name, in_file in part.names.items()}, strict=not part.left)


def read_renamed(path: str | Path, type_: str) -> dict[str, Tensor]:
    """The tensors of a weight file for a network of type `type_`, under our names.

    Raises:
        WeightsError: as `read_state`.
    """
    state = read_state(Path(path))
    return {name: state[in_file] for name, in_file in names_in_file(state, type_).items()}


def read_state(path: Path) -> dict[str, Tensor]:
    """`read_tensors` without what training wrappers leave in names and beside them.

    Raises:
        WeightsError: as `read_tensors`.
    """
    state = read_tensors(path)
    if any(name not in _NOT_WEIGHTS for name in state):
        state = {name: tensor for name, tensor in state.items() if name not in _NOT_WEIGHTS}
    while state and (wrapped := [prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in state)]):
        state = {name.removeprefix(wrapped[0]): tensor for name, tensor in state.items()}
    return state


def _written_for(path: Path, options: GeneratorOptions | None) -> str:
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
