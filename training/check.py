"""`train.py --check`: everything that can be known before the first iteration."""

from __future__ import annotations

from data.datasets import image_names
from data.prepare import check_store, is_prepared
from data.store import source_images
from inference.complexity import flops
from models import count_parameters
from training.experiment import check_validation, load_init, starting_generator
from training.memory_estimate import stage_memory
from training.options import TrainOptions
from training.recipes import RECIPES
from training.runtime import Runtime
from training.validation import Validator
from utils.errors import UserError
from utils.images import image_size
from utils.options import to_yaml
from utils.visible import visible


def check(options: TrainOptions) -> int:
    """Resolve, build, look at the data, print; nothing is written.

    Raises:
        UserError: and the kinds that training would raise for the same options.
    """
    scale, train = options.generator.scale, options.data.train
    runtime = Runtime(options.runtime)
    for stage in options.stages:
        RECIPES[stage.recipe.type].check(stage.recipe)
    names = image_names(train)
    images = source_images(train.folders)
    sizes = [image_size(image.path) for image in images]
    small = [image.path for image, size in zip(images, sizes) if min(size) // scale < train.patch_size]
    if small:
        raise UserError(f"{small[0]}: smaller than a patch ({len(small)} images are); lower data.train.patch_size")
    for stage in options.stages:
        items = Validator(options.data.validation, scale, stage.validation, runtime).items
    check_validation(options, 0, runtime)
    generator = starting_generator(options)
    load_init(generator, options.stages[0])
    patch = train.patch_size
    specs = train.compressions if train.compress == "ahead" else ["none"]
    if images:
        prepared = is_prepared(images, train.store, scale, specs)
    else:
        check_store(train.store, scale, specs)
        prepared = True
    print(to_yaml(options))
    print(f"device       {runtime.device}, {runtime.ranks} process(es), {options.runtime.precision}")
    print(f"generator    {type(generator).__name__} ×{scale}, {count_parameters(generator):,} parameters")
    print(f"             {flops(options.generator, patch, patch) / 1e9:.2f} GFLOPs per {patch}×{patch} LR patch")
    megapixels = f", {sum(height * width for height, width in sizes) / 1e6:.1f} megapixels" if sizes else ""
    print(f"train        {len(names)} images{megapixels}, {', '.join(train.compressions)}")
    print(
        f"store        {visible(train.store)} ({'prepared' if prepared else 'will be prepared when training starts'})"
    )
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
