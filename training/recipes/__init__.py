"""The recipes by name. A new one is a file beside this and a line here."""

from __future__ import annotations

from typing import Annotated

from training.recipes.adversarial import Adversarial
from training.recipes.base import Recipe, RecipeOptions
from training.recipes.coarse_to_fine import CoarseToFine
from training.recipes.nonlocal_prior import NonLocalPriorTraining
from training.recipes.supervised import Supervised
from training.recipes.unfolding import Unfolding
from utils.options.types import OneOf

RECIPES: dict[str, type[Recipe]] = {
    recipe.Options.model_fields["type"].default: recipe
    for recipe in (
        Supervised,
        CoarseToFine,
        NonLocalPriorTraining,
        Unfolding,
        Adversarial,
    )
}
AnyRecipeOptions = Annotated[RecipeOptions, OneOf(recipe.Options for recipe in RECIPES.values())]
