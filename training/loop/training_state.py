"""Networks, optimisers and random state of a stage, as a checkpoint holds them."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel

from training.recipes.base import Recipe
from training.resume import load_optimizer
from training.run_folder import CheckpointError
from training.runtime import Runtime


def training_state(recipe: Recipe, ema: AveragedModel | None, runtime: Runtime) -> dict[str, Any]:
    """Tensors, numbers and text from which `load_training_state` restores the same training."""
    scaler = runtime.accelerator.scaler
    return {
        "networks": {name: network.state_dict() for name, network in recipe.networks.items()},
        "optimizers": {name: optimizer.state_dict() for name, optimizer in recipe.optimizers.items()},
        "ema": None if ema is None else ema.module.state_dict(),
        "scaler": None if scaler is None else scaler.state_dict(),
        "random": {"cpu": torch.get_rng_state()},
    }


def load_training_state(
    state: dict[str, Any], recipe: Recipe, ema: AveragedModel | None, runtime: Runtime, where: str
) -> None:
    """Restore what `training_state` returned, in place.

    Args:
        state: a checkpoint; one without an EMA starts the EMA from the generator's weights.
        where: the checkpoint's file, for errors.

    Raises:
        CheckpointError: the checkpoint was made with another network, recipe or EMA setting.
    """
    scaler = runtime.accelerator.scaler
    try:
        for name, network in recipe.networks.items():
            network.load_state_dict(state["networks"][name])
        for name, optimizer in recipe.optimizers.items():
            load_optimizer(optimizer, state["optimizers"][name], where)
        if ema is not None:
            ema.module.load_state_dict(state["ema"] or state["networks"]["generator"])
            ema.n_averaged.fill_(state["iteration"])
        if state["scaler"] is not None and scaler is not None:
            scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["random"]["cpu"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:  # TypeError: a random state of floats
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{where}: does not fit this network and recipe ({reason[:200]}); resume with the options it was made with"
        ) from None
