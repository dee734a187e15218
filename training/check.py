"""`train.py --check`: test the options and the data before the first iteration."""

from __future__ import annotations

import sys

from data.image_sets import ImageSet, image_sets
from data.options import TrainDataOptions
from data.pairs.checks import check_sizes, shifts_in_store, shifts_of_some, shortened
from data.prepare import check_store, is_prepared
from inference.complexity import flops
from models import count_parameters
from training.experiment import check_batches, check_validation, load_init, starting_generator
from training.memory_estimate import stage_memory
from training.options import TrainOptions
from training.runtime import Runtime
from training.validation import Validator
from utils.errors import UserError
from utils.images import image_size
from utils.options import to_yaml
from utils.visible import visible


def check(options: TrainOptions) -> int:
    """Resolve the options, build the network, check the data and print a summary; write nothing.

    Raises:
        UserError: what training would raise for the same options.
    """
    scale, train = options.generator.scale, options.data.train
    runtime = Runtime(options.runtime)
    check_batches(options, runtime.ranks)
    for stage in options.stages:
        stage.recipe.check()
    sets = image_sets(train)
    sizes = _sizes(sets, train, scale)
    for stage in options.stages:
        items = Validator(options.data.validation, scale, stage.validation, runtime).items
    check_validation(options, 0, runtime)
    generator = starting_generator(options)
    load_init(generator, options.stages[0])
    patch = train.patch_size
    prepared = [_is_prepared(found, scale) for found in sets]
    print(to_yaml(options))
    print(f"device       {runtime.device}, {runtime.ranks} process(es), {options.runtime.precision}")
    print(f"generator    {type(generator).__name__} ×{scale}, {count_parameters(generator):,} parameters")
    print(f"             {flops(options.generator, patch, patch) / 1e9:.2f} GFLOPs per {patch}×{patch} LR patch")
    weights = sum(found.weight for found in sets)
    for found, megapixels, ready in zip(sets, sizes, prepared):
        what = f"pairs as they are ({visible(found.title)})" if found.is_paired else ", ".join(train.compressions)
        share = f", {found.weight / weights:.1%} of the patches" if len(sets) > 1 else ""
        size = f", {megapixels:.1f} megapixels" if found.images else ""
        print(f"train        {len(found.names)} images{size}{share}, {what}")
        state = "prepared" if ready else "will be prepared when training starts"
        print(f"store        {visible(found.store)} ({state})")
    print(f"validation   {len(items)} image(s) × compression in {len(options.data.validation)} set(s)")
    minutes, whole = options.runtime.minutes, sum(stage.iterations for stage in options.stages)
    if minutes is not None:
        print(f"time         {minutes:g} minutes for all stages, behind the preparation of the images")
    for position, stage in enumerate(options.stages):
        memory = stage_memory(options, position, runtime.ranks)
        length = f"{stage.iterations:,} iterations"
        if minutes is not None:
            length = f"{minutes * stage.iterations / whole:.1f} minutes"
        print(f"stage        {stage.name}: {stage.recipe.type}, {length} × {stage.batch_size}")
        print(
            f"             about {memory.total / 2**20:,.0f} MiB on a process: weights {memory.weights / 2**20:,.0f}, "
            f"gradients {memory.gradients / 2**20:,.0f}, optimiser {memory.optimizer / 2**20:,.0f}, "
            f"batches {memory.batches / 2**20:,.0f}, activations {memory.activations / 2**20:,.0f}; without "
            "workspaces and fragmentation"
        )
    return 0


def _sizes(sets: list[ImageSet], options: TrainDataOptions, scale: int) -> list[float]:
    """Megapixels of the HR images of each set, by their headers.

    Raises:
        UserError: images smaller than a patch, or pairs whose sizes do not fit (all named).
    """
    megapixels = []
    for found in sets:
        sizes = [image_size(image.path) for image in found.images]
        small = [image.path for image, size in zip(found.images, sizes) if min(size) // scale < options.least_side]
        if small:
            raise UserError(f"{small[0]}: {options.too_small} ({len(small)} images are); lower data.train.patch_size")
        misfits, cropped = check_sizes(found.images, scale)
        for line in (*misfits[1:], *shortened(cropped)):
            print(line, file=sys.stderr)
        if misfits:
            more = f" ({len(misfits)} pairs do not fit, the others see above)" if len(misfits) > 1 else ""
            raise UserError(misfits[0] + more)
        megapixels.append(sum(height * width for height, width in sizes) / 1e6)
    return megapixels


def _is_prepared(found: ImageSet, scale: int) -> bool:
    """Whether a set is; of pairs, says which are shifted: of all where they are prepared, else of a few."""
    if not found.images:
        check_store(found.store, scale, found.specs)
        return True
    images = list(found.images)
    whole = is_prepared(images, found.store, scale, found.specs)
    if found.is_paired:
        lines = shifts_in_store(images, found.store, scale) if whole else shifts_of_some(images, scale)
        for line in shortened(lines):
            print(f"warning: {line}", file=sys.stderr)
    return whole
