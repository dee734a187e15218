"""Our recipes and the released programs' own training code: the same numbers, iteration by iteration.

In float64 to the last bits, so that no difference of method hides behind rounding; in float32, as everybody trains,
to what its rounding makes of it. Each slip that a recipe could train with unnoticed is made on purpose below.
"""

import pytest
import torch

from losses import PerceptualLoss
from losses.adversarial import RelativisticAverageGAN
from models.cisr_psi import ResolutionEnhancementModule
from tests.training.recipes import released_runs
from tests.training.recipes.released_runs import double_precision, write_vgg19
from training.recipes.nonlocal_prior import NonLocalPriorTraining
from training.recipes.unfolding import UnfoldingOptions

EXACT = 1e-9
RUNS = ["unfolding", "prior", "coarse", "refine", "charbonnier", "esrgan"]
VGG19_GAIN = {"refine": 1.3, "esrgan": 1.0}


@pytest.fixture(scope="module")
def vgg19(tmp_path_factory):
    """VGG19's weight file of each run that compares features, as an argument of the run."""
    folder = tmp_path_factory.mktemp("vgg19")
    return {run: {"vgg19": write_vgg19(folder / f"{run}.pth", gain)} for run, gain in VGG19_GAIN.items()}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def distance(run, vgg19, **options):
    return getattr(released_runs, run)(**vgg19.get(run, {}), **options)


@pytest.mark.parametrize("run", RUNS)
def test_in_float64_nothing_differs(run, vgg19):
    with double_precision():
        found = distance(run, vgg19)
    assert found.losses <= EXACT and found.weights <= EXACT, found


@pytest.mark.parametrize("run", RUNS)
def test_in_float32_only_rounding_differs(run, vgg19):
    found = distance(run, vgg19)
    # Where η is small the prior's distances between patches lose digits (models/nonlocal_prior.py).
    assert found.losses <= (2e-4 if run == "prior" else 1e-5) and found.weights <= 1e-4, found


def notices(run, vgg19, **options):
    """Whether the comparison sees more than rounding, of float32 too."""
    with double_precision():
        found = distance(run, vgg19, **options)
    return max(found.losses, found.weights) > 1e-5, found


def test_a_detached_restored_image_is_noticed(vgg19, monkeypatch):
    forward = ResolutionEnhancementModule.forward
    monkeypatch.setattr(ResolutionEnhancementModule, "forward", lambda rem, z, y_hat: forward(rem, z, y_hat.detach()))
    seen, found = notices("unfolding", vgg19, iterations=4)
    assert seen, found


def test_a_lambda_that_rises_an_epoch_late_is_noticed(vgg19, monkeypatch):
    of = UnfoldingOptions.weight_of_hr
    monkeypatch.setattr(UnfoldingOptions, "weight_of_hr", lambda options, iteration: of(options, max(0, iteration - 1)))
    seen, found = notices("unfolding", vgg19, iterations=4)
    assert seen, found


def test_a_prior_that_restores_the_clean_image_is_noticed(vgg19, monkeypatch):
    iteration = NonLocalPriorTraining.iteration
    monkeypatch.setattr(
        NonLocalPriorTraining,
        "iteration",
        lambda recipe, batches: iteration(recipe, [{**batch, "lr": batch["clean_lr"]} for batch in batches]),
    )
    seen, found = notices("prior", vgg19)
    assert seen, found


def test_another_kernel_of_the_guide_is_noticed(vgg19):
    seen, found = notices("prior", vgg19, kernel="normalised")
    assert seen, found


def test_features_after_the_relu_are_noticed(vgg19, monkeypatch):
    features = PerceptualLoss._features
    monkeypatch.setattr(PerceptualLoss, "_features", lambda loss, images: features(loss, images).relu())
    for run in VGG19_GAIN:
        seen, found = notices(run, vgg19, iterations=1)
        assert seen, (run, found)


def test_a_detached_relativistic_mean_is_noticed(vgg19, monkeypatch):
    generator = RelativisticAverageGAN.generator
    monkeypatch.setattr(
        RelativisticAverageGAN,
        "generator",
        lambda gan, d_sr, d_hr, mean_sr, mean_hr: generator(gan, d_sr, d_hr, mean_sr.detach(), mean_hr),
    )
    seen, found = notices("esrgan", vgg19, iterations=2)
    assert seen, found


@pytest.mark.parametrize("half", ["discriminator_hr", "discriminator_sr"])
def test_a_discriminator_loss_that_is_not_halved_is_noticed(vgg19, monkeypatch, half):
    of = getattr(RelativisticAverageGAN, half)
    monkeypatch.setattr(RelativisticAverageGAN, half, lambda gan, logits, mean: 2 * of(gan, logits, mean))
    seen, found = notices("esrgan", vgg19, iterations=1)
    assert seen, found
