"""What restoring takes in main memory: one photo of 100 megapixels, and a tile of each full-size network.

    python -m benchmarks.memory.restore photo      minutes: `test.py restore` on 10000×10000 pixels at scale 1
    python -m benchmarks.memory.restore tiles      minutes: real peaks beside the estimate that tile sizes come from

Each figure is the largest resident size of a fresh process (Linux only). Weights are random: memory does not
depend on their values. The photo is made of copies of scikit-image's astronaut; the small network keeps it short.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SMALL = {"type": "rrdbnet", "scale": 1, "num_feat": 4, "num_block": 1, "num_grow_ch": 2}
SIDE = 96  # LR pixels of the tiles of `tiles`
FULL = ["rrdbnet 1", "rrdbnet 2", "rrdbnet 4", "cisrnet 2", "cisrnet 4", "cisr_psi 2", "cisr_psi 4"]


def largest_resident_mib() -> float:
    # Not getrusage: its figure starts at what the process was forked from.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def in_a_fresh_process(*arguments: object) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.memory.restore", *map(str, arguments)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [float(number) for number in printed.splitlines()[-1].split()]


def make_photo(folder: Path, side: int) -> None:
    import numpy as np
    from PIL import Image
    from skimage import data

    from models import build_generator
    from models.weight_files import export_weights

    photo = data.astronaut()
    times = -(-side // 512)
    Image.fromarray(np.tile(photo, (times, times, 1))[:side, :side]).save(folder / "photo.jpg", quality=50)
    (folder / "small.safetensors").write_bytes(export_weights(build_generator(SMALL), {}))


def restore_photo(folder: Path) -> None:
    """Prints peak MiB, and MiB before the photo was opened."""
    from commands import restore

    before = largest_resident_mib()
    arguments = [folder / "photo.jpg", "--output", folder / "out", "--weights", folder / "small.safetensors"]
    if restore.main(restore.parse([*map(str, arguments), "--device", "cpu"])):
        sys.exit("the photo was not restored")
    print(largest_resident_mib(), before)


def restore_tile(system: str, scale: int) -> None:
    """Prints bytes for each LR pixel: real and estimated."""
    import numpy as np

    from inference.complexity import activation_bytes
    from inference.restorer import Restorer
    from models import build_generator

    generator = build_generator({"type": system, "scale": scale}).eval()
    restorer = Restorer(generator, tile=SIDE)
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    restorer(image[:8, :8])  # libraries load what they need
    before = largest_resident_mib()
    restorer(image)
    print((largest_resident_mib() - before) * 2**20 / SIDE**2, activation_bytes(generator))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["photo", "tiles", "_make", "_photo", "_tile"], metavar="photo|tiles")
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, default=10_000, help="of the photo (default: 10000)")
    args = parser.parse_args()
    if args.what == "_make":
        make_photo(Path(args.rest[0]), args.side)
        print(0)
    elif args.what == "_photo":
        restore_photo(Path(args.rest[0]))
    elif args.what == "_tile":
        restore_tile(args.rest[0], int(args.rest[1]))
    elif args.what == "photo":
        with tempfile.TemporaryDirectory() as folder:
            in_a_fresh_process("_make", folder, "--side", args.side)
            started = time.perf_counter()
            peak, before = in_a_fresh_process("_photo", folder)
        seconds = time.perf_counter() - started
        print(f"{args.side}x{args.side} JPEG to PNG at scale 1: peak {peak:.0f} MiB, {before:.0f} before it is opened")
        print(f"{seconds:.0f} s with a network of {SMALL['num_feat']} channels")
    else:
        print(f"bytes for each LR pixel, tiles of {SIDE}x{SIDE}:        real  estimate")
        for network in FULL:
            real, estimate = in_a_fresh_process("_tile", *network.split())
            print(f"{network:40}{real:12.0f}{estimate:10.0f}", flush=True)


if __name__ == "__main__":
    main()
