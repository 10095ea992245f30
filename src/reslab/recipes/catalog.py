"""All recipes by name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from reslab.config import RunConfig
from reslab.errors import UsageError, did_you_mean

from .cifar import CIFAR_DEPTHS, cifar
from .cifar_fast import EPOCHS, cifar_fast
from .cifar_small import cifar_small
from .deviations import differences_of
from .digits import DIGITS_DEPTHS, digits
from .folder import folder
from .imagenet import IMAGENET_NETS, imagenet
from .notes import Notes, cifar_fast_notes, cifar_notes, cifar_small_notes, digits_notes, folder_notes, imagenet_notes


@dataclass(frozen=True, slots=True)
class Recipe:
    """A named set-up.

    Attributes:
        name: What the command calls it.
        make: Returns its config.
        notes: What the paper says of it and what to expect.
    """

    name: str
    make: Callable[[], RunConfig]
    notes: Notes


def _recipe(make: Callable[[], RunConfig], notes: Notes) -> Recipe:
    config = make()
    common = tuple(one.sentence() for one in differences_of(config))
    return Recipe(config.recipe, make, replace(notes, differences=notes.differences + common))


def _all() -> dict[str, Recipe]:
    found: list[Recipe] = []
    for kind in ("plain", "resnet"):
        for depth in DIGITS_DEPTHS:
            found.append(_recipe(partial(digits, kind, depth), digits_notes(kind, depth)))
        for depth in CIFAR_DEPTHS:
            found.append(_recipe(partial(cifar, kind, depth), cifar_notes(kind, depth)))
            found.append(_recipe(partial(cifar_small, kind, depth), cifar_small_notes()))
            found.append(_recipe(partial(cifar_fast, kind, depth), cifar_fast_notes(kind, depth, EPOCHS)))
    for kind, depth in IMAGENET_NETS:
        found.append(_recipe(partial(imagenet, kind, depth), imagenet_notes(kind, depth)))
    found.append(_recipe(folder, folder_notes()))
    return {item.name: item for item in found}


RECIPES: dict[str, Recipe] = _all()


def recipe_names() -> list[str]:
    """Return the names of all recipes."""
    return list(RECIPES)


def recipe(name: str) -> RunConfig:
    """Return the config of a named recipe.

    Args:
        name: One of `recipe_names()`.

    Raises:
        UsageError: No recipe has this name; the message has the nearest one.
    """
    return find_recipe(name).make()


def find_recipe(name: str) -> Recipe:
    """Return a recipe with its notes; UsageError with the nearest name for one that does not exist."""
    if name not in RECIPES:
        raise UsageError(f"no recipe is called {name!r}; 'reslab recipes' lists them.{did_you_mean(name, RECIPES)}")
    return RECIPES[name]
