"""A folder of many photographs: seconds to prepare it, to the first iteration, after one image changed, to a table.

    python benchmarks/many_photos.py [--images 20000] [--evaluated 5000]

Makes its own images: different 40×40 crops of a photograph of scikit-image's. Every figure is the time of a whole
command, with the start of Python and the imports of torch, which `--images 2` tells.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.soak import experiment, write_photos  # noqa: E402
from utils.images import write_png  # noqa: E402

SIDE = 40
EVALUATION = """
name: many
scale: 1
models: [{{name: Input, generator: {{type: bicubic, scale: 1}}}}]
datasets: [{{name: crops, hr: {photos}, compressions: [jpeg40]}}]
results: {results}
"""


def write_crops(folder: Path, count: int) -> None:
    """`count` PNG files."""
    photo = skimage.data.retina()
    folder.mkdir()
    rng = np.random.default_rng(0)
    corners = rng.integers(0, [photo.shape[0] - SIDE, photo.shape[1] - SIDE], size=(count, 2))
    for number, (top, left) in enumerate(corners):
        Image.fromarray(photo[top : top + SIDE, left : left + SIDE]).save(folder / f"{number:06d}.png")


def timed(what: str, *command: str) -> None:
    """Run a command of ours and print how long it takes; raises where it fails."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    spent, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{what:32}{spent:8.1f} s, of the CPU {cpu:8.1f} s", flush=True)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--evaluated", type=int, default=5_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_crops(folder / "crops", arguments.images)
        more = {"validation": {"every": 100}, "checkpoint": {"every": 100}}
        options = experiment("supervised", folder / "run", folder / "crops", 1, **more)
        few = write_photos(folder / "few")
        prepare = ["-m", "data.prepare", "--options", str(options)]
        train = ["train.py", "--options", str(options), f"data.validation.0.hr={few}"]
        print(f"{arguments.images:,} images of {SIDE}×{SIDE}")
        timed("prepare", *prepare)
        timed("prepare again", *prepare)
        timed("train one iteration", *train)
        write_png(folder / "crops" / "000000.png", np.zeros((SIDE, SIDE, 3), np.uint8))
        timed("prepare after one image changed", *prepare)
        timed("prepare --verify", *prepare, "--verify")
        print(f"{arguments.evaluated:,} images of {SIDE}×{SIDE}")
        write_crops(folder / "evaluated", arguments.evaluated)
        evaluation = folder / "many.yml"
        evaluation.write_text(EVALUATION.format(photos=folder / "evaluated", results=folder / "results"))
        timed("evaluate", "test.py", "--options", str(evaluation))
        timed("the same table, all scored before", "test.py", "--options", str(evaluation))
    return 0


if __name__ == "__main__":
    sys.exit(main())
