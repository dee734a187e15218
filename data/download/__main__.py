"""`python -m data.download NAME`: download the images of a data set to the folder that the options files use.

Files get their final names when they are complete, so that an interrupted run leaves nothing that looks like a data
set, and the next run continues. Archives and partial files are in ROOT/downloads; an archive that is already there is
used instead of a download.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from data.download.catalogue import ARCHIVES, KODAK, fetch_archives, fetch_kodak, find_manga109, write_quickstart
from utils.cli import run
from utils.errors import UserError
from utils.files import locked


def main(argv: list[str]) -> int:
    names = ("quickstart", *ARCHIVES, "kodak", "manga109")
    parser = argparse.ArgumentParser(prog="python -m data.download", description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=names)
    parser.add_argument("--root", type=Path, default=Path("datasets"), help="default: datasets")
    parser.add_argument("--keep-archive", action="store_true", help="keep the archives in ROOT/downloads")
    parser.add_argument("--url", help="folder address of a mirror that holds files of the same names")
    args = parser.parse_args(argv)
    if args.url is not None and args.name not in (*ARCHIVES, "kodak"):
        raise UserError(f"--url: {args.name} is not downloaded: leave it out")
    base = None if args.url is None else args.url.rstrip("/") + "/"
    lock = args.root / "downloads" / ".lock"  # two runs would write into each other's partial files
    try:
        if args.name == "quickstart":
            write_quickstart(args.root)
        elif args.name == "manga109":
            return find_manga109(args.root)
        elif args.name == "kodak":
            with locked(lock, wait=False):
                fetch_kodak(args.root, base or KODAK)
        else:
            with locked(lock, wait=False):
                fetch_archives(ARCHIVES[args.name], args.root, base, args.keep_archive)
    except BrokenPipeError:  # handled by `run`
        raise
    except OSError as error:  # a full disk, a folder without write permission
        raise UserError(f"{error.filename or args.root}: {error.strerror or error}") from None
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
