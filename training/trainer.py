"""The loop of one stage: draw, iterate, log, validate, save."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from data.datasets import PatchDataset, training_loader
from data.sampling import IterationSampler
from models import Generator
from models.checkpoints import export_weights
from training.faults import FAULTS, explain
from training.options import TrainOptions
from training.progress import Progress
from training.recipe import Batch
from training.recipes import RECIPES
from training.run_folder import CheckpointError, RunFolder
from training.runtime import Runtime
from training.validation import Validator
from utils.errors import UserError
from utils.files import write_atomically
from utils.options import to_yaml

STOP_CHECK = 10
"""With several processes, iterations between agreeing on whether one of them was told to stop."""


class Stopped(Exception):
    """A signal asked the run to stop; the iteration is finished and saved."""

    def __init__(self, signal_number: int):
        super().__init__(f"stopped by signal {signal_number}")
        self.signal = signal_number


class Trainer:
    """Trains one stage of an experiment; `state`/`load_state` hold all that a resume needs.

    Learning rates and samples are functions of the iteration, so the state is weights, optimisers and counters.

    Raises:
        UserError: a batch that the processes cannot share, unreadable images, perceptual weights that are missing.
    """

    def __init__(
        self,
        options: TrainOptions,
        position: int,
        generator: Generator,
        dataset: PatchDataset,
        folder: RunFolder,
        runtime: Runtime,
    ):
        self.options, self.stage = options, options.stages[position]
        self.generator, self.dataset, self.folder, self.runtime = generator, dataset, folder, runtime
        self.iteration = 0
        # A stage goes on where the one before it ended: it does not meet the same patches in the same order again.
        self.first_sample = sum(stage.iterations * stage.batch_size for stage in options.stages[:position])
        self.ranking: list[list[float]] = []
        if self.stage.batch_size % (self.stage.accumulate * runtime.ranks):
            raise UserError(
                f"stages.{position}.batch_size {self.stage.batch_size} is not a multiple of "
                f"{self.stage.accumulate} micro-batches × {runtime.ranks} processes"
            )
        recipe = RECIPES[self.stage.recipe.type]
        self.recipe = recipe(self.stage.recipe, generator.train(), self.stage, runtime)
        self.ema: AveragedModel | None = None
        if self.stage.ema is not None:
            self.ema = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(self.stage.ema))
            self.ema.module.requires_grad_(False)
        self.validator = Validator(options.data.validation, options.generator.scale, self.stage.validation, runtime)
        # Kept on the device, so that no iteration waits for it; read at log steps and before anything is saved.
        self.first_bad = torch.full((), -1, dtype=torch.long, device=runtime.device)
        self.sums: dict[str, Tensor] = {}

    # ------------------------------------------------------------------------------------------------- the loop

    def run(self) -> None:
        """Train from the current iteration to the stage's last.

        Raises:
            Stopped: after SIGTERM or SIGINT, once the iteration is finished and saved.
            UserError: the loss or the weights are not finite, memory or disk ran out, a loader process died; nothing
                bad was saved.
        """
        stage = self.stage
        progress = Progress(
            self.folder.folder, stage.name, self.iteration, stage.iterations, enabled=self.runtime.is_main
        )
        try:
            with _signals() as received:
                self._loop(progress, received)
        except FAULTS as error:
            if (fault := explain(error, self.options)) is None:
                raise
            raise UserError(
                f"stage {stage.name!r}, iteration {self.iteration + 1}: {fault}; {self._last_good()}"
            ) from None
        finally:
            progress.close()

    def _loop(self, progress: Progress, received: list[int]) -> None:
        stage = self.stage
        batches = self.batches()
        since, clock = self.iteration, time.monotonic()
        while self.iteration < stage.iterations:
            self.iterate([next(batches) for _ in range(stage.accumulate)])
            progress.step()
            last = self.iteration == stage.iterations
            stop = self._agreed_stop(received)
            if last or stop or self.iteration % stage.log_every == 0:
                self._check_finite()
                rate = (self.iteration - since) * stage.batch_size / (time.monotonic() - clock)
                means = {**self._means(self.iteration - since), **self._gradient_norms()}
                progress.scalars(self.iteration, {**means, "images_per_second": rate})
                since, clock = self.iteration, time.monotonic()
            if last or (self.iteration % stage.validation.every == 0 and not stop):
                self._validate(progress)
                since, clock = self.iteration, time.monotonic()
                self.sums = {}
            if last or stop or self.iteration % stage.checkpoint.every == 0:
                self._save()
            if stop:
                progress.say(f"stopped by {signal.Signals(stop).name} after iteration {self.iteration}, saved")
                raise Stopped(stop)

    def iterate(self, micro_batches: list[Batch]) -> None:
        """One iteration: the recipe's, what is noted of it, the EMA."""
        self.recipe.set_iteration(self.iteration)
        terms = self.recipe.iteration(micro_batches)
        self.iteration += 1
        self._note(terms)
        if self.ema is not None:
            self.ema.update_parameters(self.generator)

    def batches(self) -> Iterator[Batch]:
        """Micro-batches from the current iteration to the stage's last, on the device."""
        stage = self.stage
        sampler = IterationSampler(
            self.iteration,
            stage.iterations,
            stage.batch_size,
            stage.accumulate,
            self.runtime.rank,
            self.runtime.ranks,
            self.first_sample,
        )
        cuda = self.runtime.device.type == "cuda"
        loader = iter(training_loader(self.dataset, sampler, pin_memory=cuda))
        # One batch ahead, by a thread: taking it over from a loader process, making floats of it and copying it to the
        # device run beside the computation of the one before. One core does for that, and the number is each thread's
        # own, once the main thread has settled its: asking for it does.
        torch.get_num_threads()
        with ThreadPoolExecutor(1, "batches", torch.set_num_threads, (1,)) as thread:
            ahead = thread.submit(self._next, loader)
            while (batch := ahead.result()) is not None:
                ahead = thread.submit(self._next, loader)
                yield batch

    def _next(self, loader: Iterator[Batch]) -> Batch | None:
        try:
            return self.runtime.to_device(next(loader))
        except StopIteration:
            return None
        except UserError as error:  # a worker's error carries its traceback in the text; the last line is the message
            raise UserError(str(error).strip().splitlines()[-1].split("Error: ", 1)[-1]) from None

    def _agreed_stop(self, received: list[int]) -> int:
        """The signal that stops all processes after this iteration, or 0."""
        if self.runtime.ranks == 1:
            return received[0] if received else 0
        if self.iteration % STOP_CHECK:
            return 0
        flag = torch.tensor(received[0] if received else 0, device=self.runtime.device)
        torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
        return int(flag)

    # --------------------------------------------------------------------------------------------- what is noted

    def _note(self, terms: dict[str, Tensor]) -> None:
        bad = ~torch.isfinite(terms["loss"]) & (self.first_bad < 0)
        self.first_bad = torch.where(bad, self.iteration, self.first_bad)
        for name, value in terms.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def _means(self, iterations: int) -> dict[str, float]:
        """Means of the noted terms over iterations and processes; the learning rates; starts the sums anew."""
        names = sorted(self.sums)
        values = self.runtime.mean(torch.stack([self.sums[name].float() for name in names])) / max(1, iterations)
        self.sums = {}
        rates = {
            "lr" if len(self.recipe.optimizers) == 1 else f"lr_{name}": optimizer.param_groups[0]["lr"]
            for name, optimizer in self.recipe.optimizers.items()
        }
        return {**dict(zip(names, values.tolist())), **rates}

    def _gradient_norms(self) -> dict[str, float]:
        """Norms of this iteration's gradients, at log steps, where no clipping has them (then they are noted means).

        Not in fp16, where gradients still carry the loss's scale or not, depending on the optimiser's kernel.
        """
        if self.stage.clip_grad_norm is not None or self.runtime.accelerator.scaler is not None:
            return {}
        norms = {}
        for name, optimizer in self.recipe.optimizers.items():
            of = [p.grad.norm() for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            norms["grad_norm" if name == "generator" else f"grad_norm_{name[0]}"] = float(torch.stack(of).norm())
        return norms

    def _check_weights(self) -> None:
        """Nothing is kept whose weights are not finite: a finite loss can have gradients that are not."""
        networks = self.recipe.networks.values()
        finite = torch.stack([p.detach().isfinite().all() for network in networks for p in network.parameters()]).all()
        self.first_bad = torch.where(~finite & (self.first_bad < 0), self.iteration, self.first_bad)
        self._check_finite()

    def _check_finite(self) -> None:
        first = self.first_bad
        if self.runtime.ranks > 1:
            first = torch.where(first < 0, torch.iinfo(torch.long).max, first)
            torch.distributed.all_reduce(first, torch.distributed.ReduceOp.MIN)
            first = torch.where(first == torch.iinfo(torch.long).max, -1, first)
        if (iteration := int(first)) < 0:
            return
        factor = self.stage.schedule.factor(iteration - 1, self.stage.iterations)
        raise UserError(
            f"the loss or the weights were not finite at iteration {iteration} of stage {self.stage.name!r} "
            f"(learning rate {self.stage.optimizer.lr * factor:g}); {self._last_good()}; "
            "lower optimizer.lr, set clip_grad_norm, or use runtime.precision fp32"
        )

    def _last_good(self) -> str:
        whole = self.folder.iterations()
        if not whole:
            return "no checkpoint was saved yet"
        return f"the last good checkpoint is {self.folder.checkpoint(whole[-1])}"

    # --------------------------------------------------------------------------------------- validate and save

    @property
    def shown_generator(self) -> Generator:
        """The generator that is validated, ranked and exported: the EMA where one is kept."""
        return self.generator if self.ema is None else self.ema.module

    def _validate(self, progress: Progress) -> None:
        self._check_weights()
        if not self.validator.items:
            return
        validation = self.validator(self.shown_generator)
        progress.validation(self.iteration, validation)
        self.ranking = [entry for entry in self.ranking if entry[1] != self.iteration]
        self.ranking.append([validation.rank(self.stage.validation.rank_by), self.iteration])
        keep = self.stage.checkpoint.keep_best
        if self.runtime.is_main:
            self.ranking = self.folder.save_best(self._weights(), self.iteration, self.ranking, keep)

    def _save(self) -> None:
        self._check_weights()
        if self.runtime.is_main:
            weights = self._weights()
            if not self.validator.items:
                write_atomically(self.folder.best, weights)
            write_atomically(self.folder.last, weights)
            self.folder.save(self.state(), self.stage.checkpoint.keep, self.stage.checkpoint.keep_every)
        self.runtime.accelerator.wait_for_everyone()

    def _weights(self) -> bytes:
        about = {"experiment": self.options.name, "stage": self.stage.name, "iteration": self.iteration}
        return export_weights(self.shown_generator, about)

    def state(self) -> dict[str, Any]:
        """Everything that a resume needs: tensors, numbers and text alone."""
        scaler = self.runtime.accelerator.scaler
        return {
            "stage": self.stage.name,
            "iteration": self.iteration,
            "networks": {name: network.state_dict() for name, network in self.recipe.networks.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.recipe.optimizers.items()},
            "ema": None if self.ema is None else self.ema.module.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "random": {"cpu": torch.get_rng_state()},
            "ranking": self.ranking,
            "ranked_by": self.stage.validation.ranking,
            "options": to_yaml(self.options),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up where `state` was made.

        Raises:
            CheckpointError: it was made with another network, recipe or EMA setting.
        """
        try:
            for name, network in self.recipe.networks.items():
                network.load_state_dict(state["networks"][name])
            for name, optimizer in self.recipe.optimizers.items():
                optimizer.load_state_dict(state["optimizers"][name])
            if self.ema is not None:
                self.ema.module.load_state_dict(state["ema"] or state["networks"]["generator"])
                self.ema.n_averaged.fill_(state["iteration"])
            if state["scaler"] is not None and self.runtime.accelerator.scaler is not None:
                self.runtime.accelerator.scaler.load_state_dict(state["scaler"])
            torch.set_rng_state(state["random"]["cpu"])
        except (KeyError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(
                f"{self.folder.checkpoint(state['iteration'])}: does not fit this network and recipe ({reason[:200]}); "
                "resume with the options it was made with"
            ) from None
        self.iteration = state["iteration"]
        # Scores of another kind say nothing about those to come: the best are found anew from here.
        comparable = state.get("ranked_by", "psnr_y") == self.stage.validation.ranking
        self.ranking = [list(entry) for entry in state["ranking"]] if comparable else []


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGTERM and SIGINT instead of dying of them; a second one does what it always did."""
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def note(number: int, _frame: object) -> None:
        received.append(number)
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, note)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
