"""The steps in their order, and the share of the time that each has."""

from __future__ import annotations

from benchmarks.accept import distributed, estimate, parity, restore_speed, throughput, training_parity
from benchmarks.accept.step import Step

STEPS = (
    Step("parity", "golden_outputs", "Released weights, released outputs",
         "Largest difference to what the released programs gave, in grey levels of 255.", 4, parity.golden_outputs),
    Step("parity", "networks", "Other networks and the weights that ship",
         "Largest difference to the CPU in float32, in grey levels of 255.", 3, parity.networks_against_cpu),
    Step("parity", "nonlocal", "The non-local operator",
         "Output (grey levels of 255) and gradient (relative) against the CPU.", 1, parity.nonlocal_operator),
    Step("parity", "metrics", "Metrics", "Differences to recorded values; of LPIPS, between device and CPU.", 2,
         parity.metrics),
    Step("parity", "tiles", "Restoring in tiles", "A photograph as 8 bits, against the CPU's and against the whole.", 1,
         parity.tiled_restore),
    Step("training", "golden_trainings", "Golden trainings",
         "Largest difference to the released programs' own runs: losses (relative) and weights.", 8,
         training_parity.golden_trainings),
    Step("training", "precision", "Precision and layout",
         "Mean loss at the end of a short training against eager float32.", 6, training_parity.precision_of_training),
    Step("training", "compile", "torch.compile", "The same, compiled.", 5, training_parity.compiled_training),
    Step("training", "resume", "Killed and resumed", "SIGKILL at a checkpoint, then `--resume auto`.", 7,
         training_parity.killed_and_resumed),
    Step("training", "deterministic", "`runtime.deterministic: true`", "Two runs, tensor by tensor.", 3,
         training_parity.deterministic),
    Step("training", "faults", "When it fails", "What the run says.", 2, training_parity.faults),
    Step("several processes", "one_process", "One process under torchrun", "Weights against a run without it.", 5,
         distributed.one_process),
    Step("several processes", "two_on_one_device", "Two processes on one device", "By gloo, against one process.", 3,
         distributed.two_on_one_device),
    Step("several processes", "several_devices", "One process for each GPU", "By NCCL, against one process.", 3,
         distributed.several_devices),
    Step("throughput", "peaks", "What the device can do", "A matrix product and a copy, in this run.", 1,
         throughput.peaks),
    Step("throughput", "training_speed", "Training, the papers' own sizes",
         "Random images on the device; operations are counted, backward passes among them.", 24, throughput.training),
    Step("throughput", "released_way", "Beside the released programs' way",
         "The same iteration as a plain loop: NCHW, float32, losses read one by one, the non-local operator dense.", 8,
         throughput.beside_the_released_way),
    Step("throughput", "loader", "Waiting for data", "The trainer with its loader, on photographs.", 3,
         throughput.loader_wait),
    Step("restoring", "shipped", "Weights that ship", "An image in memory to one in memory.", 5, restore_speed.shipped),
    Step("restoring", "large", "A large image", "Tiles as free memory allows.", 4, restore_speed.large_image),
    Step("estimate", "schedules", "The papers' whole schedules", "Iterations × measured time, without validation.", 1,
         estimate.schedules),
)  # fmt: skip
