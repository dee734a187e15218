"""Training curves from TensorBoard files, as the trainer's own `Progress` leaves them."""

import numpy as np
import pytest
import yaml

from evaluation.figures.style import COLOURS, as_files
from evaluation.figures.training import plot_training
from evaluation.figures.training_log import Run, Stage, read_run
from training.loop.progress import Progress
from training.validation import Score, Validation
from utils.errors import UserError


def log(folder, iterations, values, end=100, start=0, psnr=None):
    """Write a stage; `values`: iteration → what is logged; `psnr`: Y-PSNR by compression at the last iteration."""
    folder.mkdir(parents=True, exist_ok=True)
    progress = Progress(folder, "test", start, end, enabled=True)
    for iteration in iterations:
        progress.scalars(iteration, values(iteration))
    scores = {
        ("Set5", spec): Score({"psnr_y": db, "ssim_y": 0.9}, {"psnr_y": 20.0, "ssim_y": 0.5})
        for spec, db in (psnr or {}).items()
    }
    progress.validation(iterations[-1], Validation(scores, {}, "bicubic"))
    progress.close()


def options(folder, *stages):
    (folder / "options.yml").write_text(yaml.safe_dump({"stages": [{"name": name} for name in stages]}))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Stages `prior` and `network`; the second was stopped after 150 and went on from 100."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    log(folder / "prior", [50, 100], lambda i: {"loss": 10 / i, "lr": 1e-3})
    log(folder / "network", [50, 100, 150], lambda i: {"loss": 7.0, "lr_a": 1e-4, "lr_b": 2e-4}, end=200)
    log(
        folder / "network",
        [150, 200],
        lambda i: {"loss": 5.0, "lr_a": 1e-4, "lr_b": 2e-4},
        end=200,
        start=100,
        psnr={"jpeg10": 26.0, "webp20": 28.5},
    )
    for name in ("prior", "network"):
        options(folder / name, "prior", "network")
    return read_run(folder)


def test_stages_are_read_in_the_order_of_the_options_and_resumes_leave_no_double_points(run):
    assert run.name == "mine" and [stage.name for stage in run.stages] == ["prior", "network"]
    prior, network = run.stages
    assert [step for step, _ in prior.loss] == [50, 100] and prior.length == 100
    np.testing.assert_allclose([value for _, value in prior.loss], [0.2, 0.1], rtol=1e-6)
    assert network.loss == [(50, 7.0), (100, 7.0), (150, 5.0), (200, 5.0)]
    assert list(network.rates) == ["lr_a", "lr_b"] and list(prior.rates) == ["lr"]
    assert network.scores == {"Set5 jpeg10": [(200, 26.0)], "Set5 webp20": [(200, 28.5)]}


def test_a_run_alone_has_its_stages_and_sets_apart(run):
    figure = plot_training([run])
    loss, rate, score = figure.axes
    curves = [line for line in loss.lines if len(line.get_xdata()) > 2 or line.get_linestyle() == "-"]
    assert [list(line.get_xdata()) for line in curves] == [[50, 100], [150, 200, 250, 300]]  # one stage after another
    assert [text.get_text() for text in loss.texts] == ["prior", "network"]
    assert all(any(set(line.get_xdata()) == {100} for line in axes.lines) for axes in figure.axes)  # where one ends
    assert [text.get_text() for text in rate.get_legend().get_texts()] == ["a", "b"]
    assert loss.get_yscale() == "log"  # 0.1 to 7
    labelled = {line.get_label(): line for line in score.lines if not line.get_label().startswith("_")}
    assert list(labelled) == ["Set5 jpeg10", "Set5 webp20"]
    assert list(labelled["Set5 webp20"].get_xdata()) == [300] and list(labelled["Set5 webp20"].get_ydata()) == [28.5]
    assert figure.get_suptitle() == "mine"


def test_runs_together_are_coloured_and_scored_by_their_mean(run):
    other = Run("other", (Stage("network", [(10, 1.0)], {"lr": [(10, 1e-3)]}, {"Set5 jpeg10": [(10, 27.0)]}),))
    figure = plot_training([run, other])
    loss, _, score = figure.axes
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mine", "other"]
    means = [(line.get_color(), list(line.get_ydata())) for line in score.lines if line.get_marker() != "None"]
    assert means == [(COLOURS[0], [27.25]), (COLOURS[1], [27.0])]
    assert score.get_ylabel() == "mean Y-PSNR (dB)" and "other" in [line.get_label() for line in loss.lines]


def test_many_compressions_of_one_run_become_a_mean():
    many = {f"Set5 jpeg{quality}": [(10, float(quality))] for quality in range(10, 110, 10)}
    score = plot_training([Run("run", (Stage("network", [(10, 1.0)], {}, many),))]).axes[2]
    assert [list(line.get_ydata()) for line in score.lines] == [[55.0]]


def test_the_same_run_is_the_same_bytes(run):
    assert as_files(plot_training([run]), ("png",)) == as_files(plot_training([run]), ("png",))


def test_folders_that_hold_no_run_are_named(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no stage with a tensorboard/ folder"):
        read_run(tmp_path)
    (tmp_path / "network/tensorboard").mkdir(parents=True)
    with pytest.raises(UserError, match="nothing logged yet"):
        read_run(tmp_path)
    (tmp_path / "network/tensorboard/events.out.tfevents.1.host").write_bytes(b"damaged")
    with pytest.raises(UserError, match="nothing logged yet"):
        read_run(tmp_path)
