"""The catalog: every recipe by its name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from reslab.config import RunConfig
from reslab.errors import UsageError, did_you_mean

from .cifar import CIFAR_DEPTHS, cifar
from .cifar_fast import EPOCHS, cifar_fast
from .cifar_small import cifar_small
from .deviations import deviations_of
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
        notes: What the paper reports about it, and what to expect.
    """

    name: str
    make: Callable[[], RunConfig]
    notes: Notes


def _entries() -> Iterator[tuple[Callable[[], RunConfig], Notes]]:
    for kind in ("plain", "resnet"):
        for depth in DIGITS_DEPTHS:
            yield partial(digits, kind, depth), digits_notes(kind, depth)
        for depth in CIFAR_DEPTHS:
            yield partial(cifar, kind, depth), cifar_notes(kind, depth)
            yield partial(cifar_small, kind, depth), cifar_small_notes()
            yield partial(cifar_fast, kind, depth), cifar_fast_notes(kind, depth, EPOCHS)
    for kind, depth in IMAGENET_NETS:
        yield partial(imagenet, kind, depth), imagenet_notes(kind, depth)
    yield folder, folder_notes()


def _catalog() -> dict[str, Recipe]:
    catalog: dict[str, Recipe] = {}
    for make, notes in _entries():
        config = make()
        deviations = tuple(deviation.sentence() for deviation in deviations_of(config))
        catalog[config.recipe] = Recipe(config.recipe, make, notes.with_differences(deviations))
    return catalog


RECIPES = _catalog()


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
    """Return a recipe with its notes.

    Args:
        name: One of `recipe_names()`.

    Raises:
        UsageError: No recipe has this name; the message has the nearest one.
    """
    if name not in RECIPES:
        raise UsageError(f"no recipe is called {name!r}; 'reslab recipes' lists them.{did_you_mean(name, RECIPES)}")
    return RECIPES[name]
