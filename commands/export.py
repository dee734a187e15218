"""Export a network: `python test.py export --output FILE.onnx|FILE.safetensors`. For users: docs/export.md."""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import warnings
from pathlib import Path

import torch

from commands.choose_network import choose_generator
from inference.forward import finite
from models import GENERATORS, Generator, build_generator
from models.weight_files import about, export_weights
from utils.cli import one_line
from utils.errors import UserError
from utils.files import check_new, write_atomically
from utils.visible import visible

TOLERANCE = 1e-4
"""Largest difference from PyTorch, on values in [0, 1], that an ONNX file may show; 1/255 is 39 times as much."""
SIZES = ((1, 24, 36), (2, 17, 23), (1, 41, 30))
"""Batch, height and width of the random images that a file is compared on: with odd sides and without."""
TRACED = (2, 23, 37)
"""The image that the exporter watches the network on; no side is a multiple, so that it sees the padding too."""
NOT_AS_ONNX = {
    "cisr_psi": "its non-local operator splits an image into windows by its size, and a graph cannot",
    "vdsr": "ONNX's exporter lacks the interpolation with MATLAB's kernel that it starts with",
    "bicubic": "ONNX's exporter lacks MATLAB's interpolation",
    "spandrel": "not tried with networks of others",
}


def parse(argv: list[str]) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(
        prog="test.py export", description="Export a network as ONNX or safetensors (docs/export.md)."
    )
    network = parser.add_argument_group("network (one of the three, as for `test.py restore`)")
    network.add_argument("--model", metavar="NAME", help="weights in checkpoints/; `test.py restore --list` names them")
    network.add_argument("--weights", type=Path, metavar="FILE", help="trained here, or any published RRDBNet")
    network.add_argument("--options", type=Path, metavar="FILE", help="a training or an evaluation file")
    network.add_argument("--scale", type=int, help="choose among the weights in checkpoints/ by scale")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="NAME.onnx, or NAME.safetensors (for this project)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file where there is one")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> int:
    """Export the chosen network and print how well it agrees. Raises UserError and WeightsError for mistakes."""
    kind = args.output.suffix.lower()
    if kind not in (".onnx", ".safetensors"):
        raise UserError(f"--output {args.output}: give a name that ends in .onnx or .safetensors")
    check_new(args.output, overwrite=args.overwrite)
    if kind == ".onnx":
        lacking = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
        if lacking:
            raise UserError(f"{' and '.join(lacking)} not installed; `pip install -r requirements-export.txt`")
    options = choose_generator(args.model, args.weights, args.options, args.scale)
    if kind == ".onnx" and options.type in NOT_AS_ONNX:
        raise UserError(f"{options.type} cannot be exported as ONNX: {NOT_AS_ONNX[options.type]}")
    if kind == ".safetensors" and options.weights is None:
        raise UserError(f"{options.type} has no weights to export")
    if kind == ".safetensors" and not GENERATORS[options.type].trainable:
        raise UserError(f"{options.weights}: a network of others; its own file is the one to use")
    generator = build_generator(options).eval()
    check_gives_numbers(generator)
    if kind == ".safetensors":
        assert options.weights is not None
        written = {key: value for key, value in about(options.weights).items() if key != "generator"}
        payload, agrees = export_weights(generator, written), "it says what it is: --weights alone restores with it"
    else:
        payload = as_onnx(generator)
        agrees = f"largest difference from PyTorch at {len(SIZES)} sizes: {check_onnx(payload, generator):.1e} of 1"
    write_atomically(args.output, payload)
    print(
        f"{visible(args.output)}: {type(generator).__name__} x{generator.scale}, {len(payload) / 1e6:.1f} MB; {agrees}"
    )
    return 0


def check_gives_numbers(generator: Generator) -> None:
    """Run the network on a random image: finite weights can be so large that nothing finite comes of them.

    Raises:
        UserError: its output is not finite.
    """
    with torch.inference_mode():
        finite(generator(torch.rand(SIZES[0][0], 3, *SIZES[0][1:], generator=torch.Generator().manual_seed(0))))


def as_onnx(generator: Generator) -> bytes:
    """An ONNX model: input `lr`, `batch×3×height×width`, output `sr`, RGB in [0, 1], not clamped; all sizes free.

    Its metadata hold the generator's options as JSON, under `generator`.

    Args:
        generator: on the CPU, in eval mode.

    Raises:
        UserError: a network with an operation that ONNX or its exporter does not have.
    """
    import onnx

    free = {"lr": {0: "batch", 2: "height", 3: "width"}, "sr": {0: "batch", 2: "sr_height", 3: "sr_width"}}
    file = io.BytesIO()
    batch, height, width = TRACED
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # what they warn of, a branch that is fixed, is what `check_onnx` looks for
        try:
            torch.onnx.export(
                generator,
                (torch.rand(batch, 3, height, width),),
                file,  # type: ignore[arg-type]  # the exporter that traces writes into files too
                input_names=["lr"],
                output_names=["sr"],
                dynamic_axes=free,
                opset_version=17,
                # The exporter that traces: no further library, and seconds where the other one takes minutes.
                dynamo=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise UserError(f"{generator.options.type} cannot be exported as ONNX: {one_line(error)}") from None
    model = onnx.load_model_from_string(file.getvalue())
    described = generator.options.model_dump(mode="json", exclude={"weights"})
    onnx.helper.set_model_props(model, {"generator": json.dumps(described)})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def check_onnx(payload: bytes, generator: Generator) -> float:
    """Run an ONNX model in onnxruntime beside the network it was made of; the largest difference, on [0, 1].

    Raises:
        UserError: more than `TOLERANCE`, or a size that it cannot run.
    """
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4  # a failure is raised and need not be printed too
    # Threads that spin while they wait, as by default, crawl where another process wants the cores.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(payload, settings, providers=["CPUExecutionProvider"])
    random, worst = torch.Generator().manual_seed(0), 0.0
    for batch, height, width in SIZES:
        lr = torch.rand(batch, 3, height, width, generator=random)
        with torch.inference_mode():
            expected = generator(lr)
        try:
            found = torch.from_numpy(session.run(["sr"], {"lr": lr.numpy()})[0])
        except Exception as error:  # onnxruntime's types are not public
            raise UserError(f"the exported model fails at {height}×{width}: {one_line(error)[:200]}") from None
        same_shape = found.shape == expected.shape
        difference = (found - expected).abs().max().item() if same_shape else float("inf")
        if not difference <= TOLERANCE:  # NaN too
            raise UserError(
                f"the exported model differs from PyTorch by {difference:.1e} at {height}×{width}; at most "
                f"{TOLERANCE:g} is allowed, so nothing was written"
            )
        worst = max(worst, difference)
    return worst
