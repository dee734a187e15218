"""Networks that give NaN or infinities are refused by all that would make something of them."""

import pytest
import torch

from commands import export
from evaluation.evaluate import evaluate
from evaluation.options import EvaluationOptions
from inference.forward import finite
from inference.restorer import Restorer
from inference.whole_image import restore, to_uint8
from models import WeightsError, build_generator
from models.weight_files import export_weights
from utils.errors import UserError
from utils.options import validate

SMALL = {"type": "cisrnet", "scale": 2, "num_feat": 8, "coarse_groups": 1, "coarse_blocks": 1, "fine_groups": 1,
         "fine_blocks": 1}  # fmt: skip


def network(value):
    """A network whose first tensor is filled with `value`; 3e38 is finite, and nothing that comes of it."""
    generator = build_generator(SMALL).eval()
    with torch.no_grad():
        next(generator.parameters()).fill_(value)
    return generator


@pytest.fixture(params=[float("nan"), float("inf"), 3e38])
def weights(request, tmp_path):
    path = tmp_path / "diverged.safetensors"
    path.write_bytes(export_weights(network(request.param), {}))
    return path


def test_nothing_is_scored(weights, tmp_path, photo_folder):
    options = validate({
        "name": "e", "results": str(tmp_path / "results"), "scale": 2, "report": False, "device": "cpu",
        "models": [{"name": "N", "weights": str(weights)}],
        "datasets": [{"name": "s", "hr": str(photo_folder), "compressions": ["jpeg10"]}],
    }, EvaluationOptions, "test")  # fmt: skip
    with pytest.raises((UserError, WeightsError), match="not finite"):
        evaluate(options)
    assert not list((tmp_path / "results").rglob("*.png")) and not list((tmp_path / "results").rglob("*.jsonl"))


@pytest.mark.parametrize("name", ["a.onnx", "a.safetensors"])
def test_nothing_is_exported(weights, tmp_path, name):
    with pytest.raises((UserError, WeightsError), match="not finite"):
        export.main(export.parse(["--weights", str(weights), "--output", str(tmp_path / name)]))
    assert not (tmp_path / name).exists()


def test_no_picture_is_made(photos):
    for make in (lambda photo: restore(network(3e38), photo), Restorer(network(3e38))):
        with pytest.raises(UserError, match="not finite in fp32; it diverged in training"):
            make(photos["coffee"])
    with pytest.raises(UserError, match="not finite"):
        to_uint8(torch.full((3, 2, 2), float("nan")))


@pytest.mark.parametrize(
    ("precision", "advice"), [("fp32", "other weights"), ("bf16", "fp32"), ("fp16", "bf16 or fp32")]
)
def test_the_advice_names_another_precision_only_where_one_can_help(precision, advice):
    with pytest.raises(UserError) as error:
        finite(torch.tensor(float("inf")), precision)
    found = str(error.value).partition(f"not finite in {precision}; ")[2]
    assert advice in found and precision not in found.replace(f"not finite in {precision}", "")
