"""Reports of a run: a progress bar or plain lines, a log file, TensorBoard."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import numpy as np
from tqdm import tqdm

from training.loop.board import Board
from training.validation import Validation


class Progress:
    """Reports of one stage; silent on all processes but the main one.

    Args:
        start, iterations: the iterations at which the stage starts or resumes, and ends.
        place: with a time budget, the position in the schedule at the start; None: `start`.
    """

    def __init__(
        self, folder: Path, title: str, start: int, iterations: int, *, enabled: bool, place: int | None = None
    ):
        self.enabled = enabled
        place = start if place is None else place
        self.iterations = iterations
        self.bar: tqdm[NoReturn] | None = None
        self.board: Board | None = None
        if not enabled:
            return
        self.terminal = sys.stderr.isatty()
        self.log = logging.getLogger(f"training.{folder}")
        self.log.setLevel(logging.INFO)
        self.log.propagate = False
        file = _LogFile(folder / "train.log", encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        self.log.handlers = [file]
        # The stopped run may have written points after the resumed iteration: hide them.
        self.board = Board(folder / "tensorboard", purge_step=start + 1)
        self.bar = tqdm(
            total=iterations, initial=place, desc=title, unit="it", disable=not self.terminal, mininterval=0.5
        )
        self.title, self.started, self.start, self.place = title, time.monotonic(), place, place

    def say(self, text: str) -> None:
        """Print one line to the terminal and the log."""
        if self.enabled:
            self.log.info(text)
            tqdm.write(text, file=sys.stderr)

    def step(self, place: int) -> None:
        """Note that an iteration is done and the stage is at `place` of its `iterations`."""
        if self.bar is not None:
            self.bar.update(place - self.place)
            self.place = place

    def scalars(self, iteration: int, values: dict[str, float]) -> None:
        """Report means since the last log step: `loss`, its terms, `lr`, `grad_norm`, `images_per_second`, …"""
        if self.board is None or self.bar is None:
            return
        for name, value in values.items():
            self.board.scalar(f"train/{name}", value, iteration)
        self.board.flush()
        text = ", ".join(f"{name} {value:.6g}" for name, value in values.items())
        self.log.info(f"iteration {iteration}: {text}")
        if self.terminal:
            shown = ("loss", "lr", "images_per_second")
            self.bar.set_postfix({name: f"{values[name]:.4g}" for name in shown if name in values}, refresh=False)
        else:
            done = self.place - self.start
            eta = (self.iterations - self.place) * (time.monotonic() - self.started) / max(1, done)
            share = "" if self.place == iteration else f" ({100 * self.place / self.iterations:.0f} % of its time)"
            of = "" if share else f"/{self.iterations}"
            print(f"{self.title} {iteration}{of}{share}: {text}, ETA {_duration(eta)}", file=sys.stderr)

    def validation(self, iteration: int, validation: Validation) -> None:
        """Report scores, and to TensorBoard the first picture of each set: bicubic (or input), restored, HR."""
        if self.board is None or self.bar is None:
            return
        for (name, compression), score in validation.scores.items():
            self.say(
                f"iteration {iteration}: {name} {compression}: {_figures(score.restored)} "
                f"({validation.before_name} {_figures(score.before)})"
            )
            for metric, value in score.restored.items():
                self.board.scalar(f"{metric}/{name}/{compression}", value, iteration)
        for (name, compression), pictures in validation.pictures.items():
            row = np.concatenate(pictures, axis=1)
            self.board.image(f"{name}/{compression}", row, iteration)
        self.board.flush()

    def close(self) -> None:
        """Flush and close."""
        if self.board is not None and self.bar is not None:
            self.bar.close()
            # An error of a full disk was raised by the write.
            with suppress(OSError):
                self.board.close()
            for handler in self.log.handlers:
                with suppress(OSError):
                    handler.close()


class _LogFile(logging.FileHandler):
    """A log file that raises errors such as a full disk; logging's own prints a traceback for every line."""

    def handleError(self, record: logging.LogRecord) -> None:
        raise


def _figures(metrics: dict[str, float]) -> str:
    """Y-PSNR / SSIM, then the other measured metrics."""
    text = f"{metrics['psnr_y']:.3f} dB / {metrics['ssim_y']:.4f}"
    text += f", RGB {metrics['psnr_rgb']:.3f} dB" if "psnr_rgb" in metrics else ""
    return text + (f", LPIPS {metrics['lpips']:.4f}" if "lpips" in metrics else "")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
