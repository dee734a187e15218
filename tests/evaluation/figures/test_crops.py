"""Crops side by side: the part that is chosen, what stands in the cells, what is refused."""

import re

import numpy as np
import pytest

from data.evaluation_sets import load
from data.resize import imresize
from evaluation.figures.crops import draw_crops, telling_box
from evaluation.figures.style import as_files
from evaluation.options import EvaluationOptions
from evaluation.todo import image_path
from metrics.psnr_ssim import psnr_y, ssim_y
from utils.errors import UserError
from utils.images import read_image, write_png
from utils.options import validate


def options(folder, hr, scale=2, compressions=("jpeg10", "jpeg40>webp20")):
    return validate(
        {
            "name": "run",
            "results": str(folder),
            "scale": scale,
            "models": [
                {"name": "Bicubic", "generator": {"type": "bicubic", "scale": scale}},
                {"name": "sharper", "generator": {"type": "bicubic", "scale": scale}},
                {"name": "untrained", "weights": str(folder / "nowhere.safetensors")},
            ],
            "datasets": [{"name": "set", "hr": str(hr), "compressions": list(compressions)}],
        },
        EvaluationOptions,
        "test",
    )


@pytest.fixture(scope="module")
def run(photo_folder, tmp_path_factory):
    """`sharper` is the original in a square of coffee, and bicubic elsewhere; no PNG of `untrained`."""
    from data.evaluation_sets import items_of

    given = options(tmp_path_factory.mktemp("results"), photo_folder)
    lines = ["model,dataset,compression,image,psnr_y,bits_per_pixel"]
    for item in items_of(given.datasets[0], 2):
        pair = load(item, 2)
        large = imresize(pair.lr, 2)
        sharper = large.copy()
        if item.image == "coffee":
            sharper[40:90, 60:110] = pair.hr[40:90, 60:110]
        for name, picture in (("Bicubic", large), ("sharper", sharper)):
            write_png(image_path(given, name, item), picture)
            lines.append(f"{name},set,{item.compression},{item.image},{psnr_y(picture, pair.hr, 2)},0.5")
    (given.folder / "images.csv").write_text("\n".join(lines))
    return given


def panels(figure):
    """The array and the text of each panel, the whole image first."""
    return [(np.asarray(axes.images[0].get_array()), axes.texts[0].get_text()) for axes in figure.axes]


def test_cells_hold_the_part_of_every_version_with_the_scores_of_the_image(run, photo_folder):
    figures = draw_crops(run, ["set/coffee/jpeg10"], "60,40,32,24")
    assert list(figures) == ["crops_set_coffee_jpeg10"]
    (_, title), *cells = panels(figures["crops_set_coffee_jpeg10"])
    assert title == "set, coffee, ×2"
    assert [text.split("\n")[0] for _, text in cells] == ["HR", "LR, jpeg10", "Bicubic", "sharper"]
    hr = read_image(photo_folder / "coffee.png")[:158, :160]
    zoom = 7  # 32 pixels become at least 210
    np.testing.assert_array_equal(cells[0][0], hr[40:64, 60:92].repeat(zoom, 0).repeat(zoom, 1))
    lr = cells[1][0]  # compressed: LR pixels are squares of scale × zoom
    np.testing.assert_array_equal(lr[::14, ::14].repeat(14, 0).repeat(14, 1), lr)
    assert re.fullmatch(r"\d\.\d\d bpp", cells[1][1].split("\n")[1])
    picture = read_image(run.folder / "images/sharper/set/jpeg10/coffee.png")
    assert cells[3][1].split("\n")[1] == f"{psnr_y(picture, hr, 2):.2f} / {ssim_y(picture, hr, 2):.4f}"
    bold = [axes.texts[0].get_weight() for axes in figures["crops_set_coffee_jpeg10"].axes[1:]]
    assert bold == ["normal", "normal", "normal", "bold"]


def test_the_image_and_the_part_are_chosen_where_models_differ_most(run):
    ((name, figure),) = draw_crops(run, None, None).items()
    assert name.startswith("crops_set_coffee_") and ">" not in name  # file names for any system
    (box,) = figure.axes[0].patches
    factor = panels(figure)[0][0].shape[0] / 158
    left, top = ((corner + 0.5) / factor for corner in box.get_xy())
    assert 60 - 8 <= left <= 110 - 48 + 8 and 40 - 8 <= top <= 90 - 48 + 8
    first, second = (as_files(figure, ("png",)) for figure in (figure, draw_crops(run, None, None)[name]))
    assert first == second


def test_the_window_is_where_the_best_model_gains_most():
    rng = np.random.default_rng(0)
    hr = rng.integers(60, 190, (90, 120, 3), dtype=np.uint8)
    before, after = hr + 20, hr + 20
    after[40:88, 70:118] = hr[40:88, 70:118]
    worse = hr + 40
    box = telling_box(hr, {"Bicubic": before, "A": after, "B": worse}, "Bicubic")
    assert (box.top, box.left, box.height, box.width) == (40, 70, 48, 48)
    # Without a reference the worst model is one.
    assert telling_box(hr, {"A": after, "B": worse}, None).top == 40
    alone = telling_box(hr[:20, :25], {"Bicubic": before[:20, :25]}, "Bicubic")
    assert (alone.height, alone.width) == (20, 20)


def test_at_scale_1_the_input_stands_once(photo_folder, tmp_path):
    from data.evaluation_sets import items_of

    given = options(tmp_path, photo_folder, scale=1, compressions=["jpeg10"])
    item = items_of(given.datasets[0], 1)[0]
    pair = load(item, 1)
    for name in ("Bicubic", "sharper"):
        write_png(image_path(given, name, item), pair.lr)
    (figure,) = draw_crops(given, [f"set/{item.image}/jpeg10"], None).values()
    assert [text.split("\n")[0] for _, text in panels(figure)[1:]] == ["HR", "Bicubic, jpeg10", "sharper"]


@pytest.mark.parametrize(
    ("image", "box", "said"),
    [
        ("coffee", None, "give set/image/compression"),
        ("Set5/coffee/jpeg10", None, "no set 'Set5' in this evaluation; its sets: set"),
        ("set/tea/jpeg10", None, "no image 'tea' in set; there are astronaut, chelsea, coffee"),
        ("set/coffee/jpeg11", None, "no compression 'jpeg11' in set; there are jpeg10, jpeg40>webp20"),
        ("set/coffee/jpeg10", "1,2,3", "give x,y,w,h"),
        ("set/coffee/jpeg10", "0,0,4,40", "at least 8 a side"),
        ("set/coffee/jpeg10", "150,0,32,32", "not inside set/coffee/jpeg10, which has 160×158 pixels"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(run, image, box, said):
    with pytest.raises(UserError, match=re.escape(said)):
        draw_crops(run, [image], box)


def test_missing_pictures_say_what_to_run(photo_folder, tmp_path):
    given = options(tmp_path, photo_folder)
    with pytest.raises(UserError, match=r"Bicubic/set/jpeg10/coffee.png: not there; run `bash eval.sh` .*save_images"):
        draw_crops(given, ["set/coffee/jpeg10"], None)
    with pytest.raises(UserError, match=r"images.csv: not there"):
        draw_crops(given, None, None)
