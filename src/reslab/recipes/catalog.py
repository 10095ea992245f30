"""All recipes by name."""

from collections.abc import Callable
from dataclasses import dataclass

from reslab.config import RunConfig
from reslab.errors import UsageError, did_you_mean

from .cifar import CIFAR_DEPTHS, cifar
from .cifar_fast import EPOCHS, cifar_fast
from .cifar_small import cifar_small
from .digits import DIGITS_DEPTHS, digits
from .folder import folder
from .imagenet import IMAGENET_NETS, imagenet
from .page import Page, cifar_fast_page, cifar_page, cifar_small_page, digits_page, folder_page, imagenet_page


@dataclass(frozen=True, slots=True)
class Recipe:
    """A named set-up. make: returns its config; page: what the paper says of it and what to expect."""

    name: str
    make: Callable[[], RunConfig]
    page: Page


def _all() -> dict[str, Recipe]:
    found: list[Recipe] = []
    for kind in ("plain", "resnet"):
        for depth in DIGITS_DEPTHS:
            found.append(
                Recipe(f"digits-{kind}{depth}", lambda k=kind, d=depth: digits(k, d), digits_page(kind, depth))
            )
        for depth in CIFAR_DEPTHS:
            name, fast = f"cifar-{kind}{depth}", f"cifar-{kind}{depth}-fast"
            found.append(Recipe(name, lambda k=kind, d=depth: cifar(k, d), cifar_page(kind, depth)))
            small = f"{name}-small"
            found.append(Recipe(small, lambda k=kind, d=depth: cifar_small(k, d), cifar_small_page()))
            found.append(Recipe(fast, lambda k=kind, d=depth: cifar_fast(k, d), cifar_fast_page(kind, depth, EPOCHS)))
    for kind, depth in IMAGENET_NETS:
        name = f"imagenet-{kind}{depth}"
        found.append(Recipe(name, lambda k=kind, d=depth: imagenet(k, d), imagenet_page(kind, depth)))
    found.append(Recipe("folder", folder, folder_page()))
    return {item.name: item for item in found}


RECIPES: dict[str, Recipe] = _all()


def recipe_names() -> list[str]:
    """Return the names of all recipes."""
    return list(RECIPES)


def recipe(name: str) -> Recipe:
    """Return a recipe by name; UsageError with the nearest name for one that does not exist."""
    if name not in RECIPES:
        raise UsageError(f"no recipe is called {name!r}; 'reslab recipes' lists them.{did_you_mean(name, RECIPES)}")
    return RECIPES[name]
