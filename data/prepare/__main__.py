"""HR images to a prepared store: clean and compressed LR images as raw pixels, made once, on all cores.

    python -m data.prepare --options options/cisrnet/x2.yml
    python -m data.prepare --hr datasets/photos --store datasets/photos.prepared --scale 2 --compressions jpeg10 webp30

For users: docs/data.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from data.image_sets import image_sets
from data.options import TrainDataOptions
from data.prepare import prepare_for
from data.prepare.training_file import read_training_file
from data.store import AS_IS
from data.store.lmdb_import import import_lmdb
from utils.cli import run
from utils.errors import OptionsError
from utils.options import validate
from utils.visible import visible


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m data.prepare", description=__doc__.split("\n")[0])
    parser.add_argument("--options", type=Path, help="a training options file; the rest of this line then overrides it")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of the options file")
    parser.add_argument("--hr", type=Path, nargs="+", help="folders of HR images (without --options)")
    parser.add_argument("--store", type=Path, help="folder of the store (without --options)")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--compressions", nargs="*", default=[])
    parser.add_argument("--jobs", type=int, help="processes; default: one per core")
    parser.add_argument("--verify", action="store_true", help="compare the checksums of all images and maps")
    parser.add_argument(
        "--from-lmdb",
        type=Path,
        nargs=2,
        metavar=("GT", "LQ"),
        help="turn an LMDB pair into --store; --compressions names the one that LQ holds",
    )
    arguments = parser.parse_intermixed_args(argv)
    if arguments.from_lmdb:
        if not arguments.store or len(arguments.compressions) != 1:
            raise OptionsError("--from-lmdb needs --store DIR and --compressions with the one that LQ holds")
        gt, lq = arguments.from_lmdb
        count = import_lmdb(gt, lq, arguments.store, arguments.compressions[0])
        print(f"{visible(arguments.store)}: {count} images, ×1, {arguments.compressions[0]}")
        return 0
    if arguments.options:
        wanted = read_training_file(arguments.options, arguments.overrides)
        options, scale = wanted.data.train, wanted.generator.scale
    else:
        if not arguments.hr or not arguments.store:
            raise OptionsError("give --options FILE, or --hr DIR … and --store DIR")
        values = {
            "hr": [str(folder) for folder in arguments.hr],
            "prepared": str(arguments.store),
            "compressions": arguments.compressions or ["none"],
        }
        options, scale = validate(values, TrainDataOptions, "command line"), arguments.scale
    prepare_for(options, scale, jobs=arguments.jobs, verify=arguments.verify)
    checked = ", verified" if arguments.verify else ""
    for found in image_sets(options):
        what = AS_IS if found.is_paired else ", ".join(options.compressions)
        print(f"{visible(found.store)}: {len(found.names)} images, ×{scale}, {what}{checked}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
