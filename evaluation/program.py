"""Third-party programs as rows: a command line that reads an image file and writes another, run for each image."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import Field, field_validator

from utils.errors import UserError
from utils.files import sha256_of
from utils.images import ImageError, image_size, read_image, write_png
from utils.section import Section

_SUFFIXES = {"JPEG": ".jpg", "WEBP": ".webp", "AVIF": ".avif", "PNG": ".png"}
_SAID = 200  # characters of a program's last output line in an error


class ProgramError(UserError):
    """A program is missing, fails, takes too long, or does not write an image of the right size."""


class ProgramOptions(Section):
    """A command that restores one image file; it runs without a shell, in the working folder of the evaluation."""

    command: str
    """Program and arguments, quoted as in a shell; `{input}` and `{output}` stand for the two files."""
    input: Literal["compressed", "png"] = "png"
    """Input of the program: the compressed file itself (JPEG, WebP, AVIF), or the decoded image as PNG."""
    output: str = Field(default=".png", pattern=r"^\.[a-z0-9]{1,5}$")
    """Suffix of the file that the program writes, of any image format that this project reads."""
    timeout_s: float = Field(default=120, gt=0)
    """Seconds after which the program is stopped and counts as failed."""

    @field_validator("command")
    @classmethod
    def _complete(cls, command: str) -> str:
        try:
            arguments = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"command: {error}") from None
        for word in ("{input}", "{output}"):
            if not any(word in argument for argument in arguments[1:]):
                raise ValueError(f"command: {word} must stand among the arguments")
        return command


class Program:
    """Restores images by running `options.command`.

    Attributes:
        facts: everything that determines its results: options, SHA-256 of the program and of arguments that are files.

    Raises:
        ProgramError: the program is missing.
    """

    def __init__(self, options: ProgramOptions):
        self.options = options
        self.arguments = shlex.split(options.command)
        found = shutil.which(self.arguments[0])
        if found is None:
            raise ProgramError(f"{self.arguments[0]}: no such program; install it, or correct `program.command`")
        files = [found, *(argument for argument in self.arguments[1:] if Path(argument).is_file())]
        self.facts: dict[str, Any] = {
            **options.model_dump(mode="json", exclude={"timeout_s"}),
            "files": [sha256_of(Path(file)) for file in files],
        }

    def __call__(self, image: np.ndarray, encoded: bytes, size: tuple[int, int]) -> tuple[np.ndarray, float]:
        """The restored image, and the seconds that the program ran.

        Args:
            image: uint8 h×w×3 RGB, as decoded.
            encoded: the bytes of its file, for `input: compressed`; empty if there is no file.
            size: height and width that the restored image must have.

        Raises:
            ProgramError: the program failed.
        """
        with tempfile.TemporaryDirectory(prefix="cisr-program-") as folder:
            source = self._write(Path(folder), image, encoded)
            target = Path(folder, f"output{self.options.output}")
            files = {"{input}": str(source), "{output}": str(target)}
            command = [self.arguments[0], *(_filled(argument, files) for argument in self.arguments[1:])]
            seconds = self._run(command, Path(folder))
            if not target.is_file():
                raise ProgramError(f"{self.arguments[0]}: ended well, but wrote no {{output}}")
            try:
                found = image_size(target)
                if found != size:
                    raise ProgramError(
                        f"{self.arguments[0]}: wrote {found[1]}×{found[0]} pixels where {size[1]}×{size[0]} are needed"
                    )
                return read_image(target), seconds
            except ImageError as error:
                why = str(error).removeprefix(f"{target}: ")
                raise ProgramError(f"{self.arguments[0]}: what it wrote cannot be read: {why}") from None

    def _write(self, folder: Path, image: np.ndarray, encoded: bytes) -> Path:
        if self.options.input == "png":
            write_png(folder / "input.png", image)
            return folder / "input.png"
        try:
            with Image.open(io.BytesIO(encoded)) as file:
                suffix = _SUFFIXES[file.format or ""]
        except (UnidentifiedImageError, KeyError):
            raise ProgramError(
                f"{self.arguments[0]}: there is no compressed file of a format that it could read; use `input: png`"
            ) from None
        path = folder / f"input{suffix}"
        path.write_bytes(encoded)
        return path

    def _run(self, command: list[str], folder: Path) -> float:
        log = folder / "log"
        with log.open("wb") as output:
            started = time.perf_counter()
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # a process group of its own, so that its child processes are stopped too
                )
            except OSError as error:
                raise ProgramError(f"{command[0]}: cannot be started: {error.strerror or error}") from None
            try:
                status = process.wait(self.options.timeout_s)
            except subprocess.TimeoutExpired:
                raise ProgramError(f"{command[0]}: not done after {self.options.timeout_s:g} s") from None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            seconds = time.perf_counter() - started
        if status:
            raise ProgramError(f"{command[0]}: ended with status {status}{_last_words(log)}")
        return seconds


def _filled(argument: str, files: dict[str, str]) -> str:
    for word, file in files.items():
        argument = argument.replace(word, file)
    return argument


def _last_words(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").split("\n")
    said = [" ".join("".join(c if c.isprintable() else " " for c in line).split()) for line in lines]
    words = next((line for line in reversed(said) if line), "")
    return f" ({words[:_SAID]})" if words else ""
