"""The data sets of `python -m data.download`: addresses, sizes, checksums and target folders."""

from dataclasses import dataclass
from pathlib import Path

from utils.errors import UserError

# Heavy imports (images, HTTP) are inside the functions, so that a second `quickstart` costs nothing.


@dataclass(frozen=True)
class Archive:
    """An archive on the web. Its folders: (path in the archive or `*`, folder under ROOT, number of images)."""

    base: str
    file: str
    folders: tuple[tuple[str, str, int], ...]
    sha256: str | None = None  # if a digest is published
    most: int = 10**10  # largest size in bytes, at least twice the true size


DIV2K = "https://data.vision.ee.ethz.ch/cvl/DIV2K/"  # the authors' archives; digests from TensorFlow Datasets
ARCHIVES: dict[str, tuple[Archive, ...]] = {
    "div2k": (
        Archive(
            DIV2K,
            "DIV2K_train_HR.zip",
            (("DIV2K_train_HR", "DIV2K/DIV2K_train_HR", 800),),
            "9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335",
        ),
        Archive(
            DIV2K,
            "DIV2K_valid_HR.zip",
            (("DIV2K_valid_HR", "DIV2K/DIV2K_valid_HR", 100),),
            "20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc",
            most=10**9,
        ),
    ),
    "benchmarks": (
        # The EDSR authors' collection (https://github.com/sanghyun-son/EDSR-PyTorch); also holds B100 as PNG.
        Archive(
            "https://cv.snu.ac.kr/research/EDSR/",
            "benchmark.tar",
            (("Set5/HR", "Set5", 5), ("Set14/HR", "Set14", 14), ("Urban100/HR", "Urban100", 100)),
            most=10**9,
        ),
        # B100 is the test set of BSDS300, as the authors' JPEG files.
        Archive(
            "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/bsds/",
            "BSDS300-images.tgz",
            (("images/test", "B100", 100),),
            most=10**8,
        ),
    ),
}

# The public sets of JPEG artefact removal, at the addresses named by the papers' pages and programs. No digests are
# published, and these addresses have not been tried.
FBCNN = "https://github.com/jiaxi-jiang/FBCNN/archive/refs/heads/"  # FBCNN's authors keep both sets in their repository
ARCHIVES |= {
    "live1": (Archive(FBCNN, "main.zip", (("testsets/LIVE1_color", "LIVE1", 29),)),),
    "classic5": (Archive(FBCNN, "main.zip", (("testsets/Classic5", "Classic5", 5),)),),
    "bsds500": (
        Archive(
            "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/BSR/",
            "BSR_bsds500.tgz",
            (("images/test", "BSDS500_test", 200),),
        ),
    ),
    "icb": (Archive("https://imagecompression.info/test_images/", "rgb8bit.zip", (("*", "ICB", 15),)),),
    "urban100": (Archive("https://cv.snu.ac.kr/research/EDSR/", "benchmark.tar", (("Urban100/HR", "Urban100", 100),)),),
}

KODAK = "https://r0k.us/graphics/kodak/kodak/"
KODAK_FILES = tuple(f"kodim{number:02d}.png" for number in range(1, 25))

QUICKSTART = {  # file under ROOT/quickstart: file in scikit-image's wheel
    "train/brick.png": "brick.png",
    "train/camera.png": "camera.png",
    "train/chelsea.png": "chelsea.png",
    "train/coins.png": "coins.png",
    "train/grass.png": "grass.png",
    "train/gravel.png": "gravel.png",
    "train/motorcycle.png": "motorcycle_left.png",
    "train/rocket.png": "rocket.jpg",
    "valid/astronaut.png": "astronaut.png",
    "valid/coffee.png": "coffee.png",
}

MANGA109 = """\
Manga109 may not be handed on; its authors give it to researchers who ask:
  1. read the licence and fill in the form at http://www.manga109.org/en/
  2. the benchmark takes one page of each of the 109 volumes, as PNG files; put them into
     {folder}/, one file a volume, named after it (ARMS.png … YumeiroCooking.png)"""


def name_of(folder: Path) -> str | None:
    """The NAME whose download creates this folder, by the end of its path; None for other folders."""
    places: dict[str, str] = {}
    for name, archives in ARCHIVES.items():
        places |= {place: name for a in archives for _, place, _ in a.folders if place not in places}
    places |= {
        "Kodak24": "kodak",
        "Manga109": "manga109",
        "quickstart/train": "quickstart",
        "quickstart/valid": "quickstart",
    }
    return next(
        (name for place, name in places.items() if folder.parts[-len(Path(place).parts) :] == Path(place).parts), None
    )


def write_quickstart(root: Path) -> None:
    """Write the photographs in scikit-image's wheel as PNG, without a network.

    Raises UserError if this version of scikit-image lacks one of them.
    """
    folder = root / "quickstart"
    missing = [name for name in QUICKSTART if not (folder / name).is_file()]
    if not missing:
        print(f"quickstart: already there ({len(QUICKSTART)} images in {folder})")
        return
    from importlib.util import find_spec

    from utils.images import read_image, write_png

    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise UserError("quickstart: needs scikit-image: pip install -r requirements.txt")
    for name in missing:
        source = Path(spec.origin).parent / "data" / QUICKSTART[name]
        if not source.is_file():
            raise UserError(f"quickstart: this scikit-image lacks {source}: pip install 'scikit-image>=0.24'")
        write_png(folder / name, read_image(source))
    print(f"quickstart: {len(missing)} images written to {folder}")


def find_manga109(root: Path) -> int:
    """Return 0 if the 109 pages exist; otherwise print their source and return 1."""
    folder = root / "Manga109"
    if _is_there(folder, 109):
        return 0
    print(MANGA109.format(folder=folder))
    return 1


def fetch_kodak(root: Path, base: str) -> None:
    """Download the 24 photographs to ROOT/Kodak24. Raises UserError."""
    from data.download.fetch import fetch
    from utils.images import ImageError, read_image

    target = root / "Kodak24"
    if _is_there(target, len(KODAK_FILES)):
        return
    folder = root / "downloads" / "Kodak24"
    for name in KODAK_FILES:
        if (folder / name).is_file():
            continue
        checked, arrived = folder / name, folder / f"{name}.unchecked"
        fetch(base + name, arrived, most=10**7)
        try:
            read_image(arrived)
        except ImageError:
            arrived.unlink()
            raise UserError(f"{base}{name}: what the server sent is not an image: run again, or give --url") from None
        arrived.replace(checked)
    folder.replace(target)
    print(f"kodak: {len(KODAK_FILES)} images in {target}")


def fetch_archives(wanted: tuple[Archive, ...], root: Path, base: str | None, keep: bool) -> None:
    """Download and unpack the archives whose images are missing; a failure does not stop the others.

    Args:
        base: address of a folder with the archives, instead of the published one. Digests are then not compared, as a
            mirror may have packed the images again.
        keep: leave the archives in ROOT/downloads.

    Raises UserError: all failures, on one line.
    """
    failures = []
    for archive in wanted:
        try:
            _fetch_archive(archive, root, base, keep)
        except UserError as error:
            failures.append(str(error))
    if failures:
        raise UserError("; ".join(failures))


def _fetch_archive(archive: Archive, root: Path, base: str | None, keep: bool) -> None:
    from data.download.archives import ArchiveError, DamagedArchiveError, ImageFolder, unpack
    from data.download.connection import DownloadError
    from data.download.fetch import fetch

    missing = [
        ImageFolder(inside, root / target, count)
        for inside, target, count in archive.folders
        if not _is_there(root / target, count)
    ]
    if not missing:
        return
    file = root / "downloads" / archive.file
    found = file.exists()
    if not found:
        address = (base or archive.base) + archive.file
        print(f"downloading {address}", flush=True)
        try:
            fetch(address, file, copies=2, sha256=archive.sha256 if base is None else None, most=archive.most)
        except DownloadError as error:
            raise UserError(
                f"{error} (or put {archive.file} into {file.parent}, or give a mirror with --url)"
            ) from None
    try:
        unpack(file, missing)
    except ArchiveError as error:
        if found or not isinstance(error, DamagedArchiveError):  # placed by the user, or another copy would not help
            raise UserError(f"{error}: it is kept; delete it before another try") from None
        file.unlink()
        raise UserError(f"{error}: deleted, run again to download it anew") from None
    for folder in missing:
        print(f"{folder.count} images in {folder.target}")
    if not (keep or found):
        file.unlink()


def _is_there(folder: Path, count: int) -> bool:
    """Whether a folder has all its images. Raises UserError if it has anything else."""
    from utils.images import SUFFIXES

    entries = list(folder.iterdir()) if folder.exists() else []
    images = sum(1 for entry in entries if entry.suffix.lower() in SUFFIXES and not entry.name.startswith("."))
    if images == count:
        print(f"already there: {count} images in {folder}")
        return True
    if entries:
        raise UserError(f"{folder}: holds {images} images, expected {count}: move the folder away and run again")
    return False
