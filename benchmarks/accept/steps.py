"""The steps in their order, and the share of the time that each has."""

from __future__ import annotations

from benchmarks.accept.distributed.launched import one_process, several_devices, two_on_one_device
from benchmarks.accept.estimate import schedules
from benchmarks.accept.parity.golden_outputs import golden_outputs
from benchmarks.accept.parity.metrics import metrics
from benchmarks.accept.parity.networks import networks_against_cpu
from benchmarks.accept.parity.nonlocal_operator import nonlocal_operator
from benchmarks.accept.parity.tiles import tiled_restore
from benchmarks.accept.restore_speed import large_image, shipped
from benchmarks.accept.step import Step
from benchmarks.accept.throughput.loader import loader_wait
from benchmarks.accept.throughput.peaks import peaks
from benchmarks.accept.throughput.released_way import beside_the_released_way
from benchmarks.accept.throughput.training_speed import training_speed
from benchmarks.accept.training.deterministic import deterministic
from benchmarks.accept.training.faults import faults
from benchmarks.accept.training.golden_trainings import golden_trainings
from benchmarks.accept.training.precision import compiled_training, precision_of_training
from benchmarks.accept.training.resume import killed_and_resumed

STEPS = (
    Step("parity", "golden_outputs", "Released weights, released outputs",
         "Largest difference to what the released programs gave, in grey levels of 255.", 4, golden_outputs),
    Step("parity", "networks", "Other networks and the bundled weights",
         "Largest difference to the CPU in float32, in grey levels of 255.", 3, networks_against_cpu),
    Step("parity", "nonlocal", "The non-local operator",
         "Output (grey levels of 255) and gradient (relative) against the CPU.", 1, nonlocal_operator),
    Step("parity", "metrics", "Metrics", "Differences to recorded values; of LPIPS, between device and CPU.", 2,
         metrics),
    Step("parity", "tiles", "Restoring in tiles", "A photograph as 8 bits, against the CPU's and against the whole.", 1,
         tiled_restore),
    Step("training", "golden_trainings", "Golden trainings",
         "Largest difference to the released programs' own runs: losses (relative) and weights.", 8,
         golden_trainings),
    Step("training", "precision", "Precision and layout",
         "Mean loss at the end of a short training against eager float32; "
         "with a discriminator, at its beginning.", 6, precision_of_training),
    Step("training", "compile", "torch.compile", "The same, compiled.", 12, compiled_training),
    Step("training", "resume", "Killed and resumed", "SIGKILL at a checkpoint, then `--resume auto`.", 7,
         killed_and_resumed),
    Step("training", "deterministic", "`runtime.deterministic: true`", "Two runs, tensor by tensor.", 3,
         deterministic),
    Step("training", "faults", "When it fails", "What the run says.", 2, faults),
    Step("distributed", "one_process", "One process under torchrun", "Weights against a run without it.", 6,
         one_process),
    Step("distributed", "two_on_one_device", "Two processes on one device", "By gloo, against one process.", 5,
         two_on_one_device),
    Step("distributed", "several_devices", "One process for each GPU", "By NCCL, against one process.", 3,
         several_devices),
    Step("throughput", "peaks", "What the device can do", "A matrix product and a copy, in this run.", 1,
         peaks),
    Step("throughput", "training_speed", "Training, the papers' own sizes",
         "Random images on the device; operations are counted, backward passes among them.", 24, training_speed),
    Step("throughput", "released_way", "Beside the released programs' way",
         "The same iteration as a plain loop: NCHW, float32, losses read one by one, the non-local operator dense.", 8,
         beside_the_released_way),
    Step("throughput", "loader", "Waiting for data", "The trainer with its loader, on photographs.", 3,
         loader_wait),
    Step("estimate", "schedules", "The papers' whole schedules", "Iterations × measured time, without validation.", 1,
         schedules),
    Step("restore", "shipped", "Bundled weights", "An image in memory to one in memory.", 5, shipped),
    Step("restore", "large", "A large image", "Tiles as free memory allows.", 4, large_image),
)  # fmt: skip
