"""`reslab recipes`: what can be trained by name, and how it differs from the paper."""

import json as jsonlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cyclopts import App

from reslab.cli.output import print_table
from reslab.cli.types import JsonSwitch

if TYPE_CHECKING:
    from pydantic import JsonValue

    from reslab.recipes import Recipe

app = App(name="recipes", help="List the recipes, or show one with its settings.")


@app.default
def list_recipes(*, json: JsonSwitch = False) -> int:
    """List the recipes.

    Args:
        json: Print JSON.
    """
    from reslab.recipes import RECIPES

    if json:
        print(jsonlib.dumps([asdict(_document(item)) for item in RECIPES.values()], indent=2, ensure_ascii=False))
        return 0
    rows = []
    for item in RECIPES.values():
        config = item.make()
        size = f"{config.train.iterations:,} x {config.train.batch_size}"
        rows.append((item.name, config.model.label, config.data.kind, size, item.notes.expected))
    print_table("", ("recipe", "network", "data", "iterations x batch", "expected"), rows, left=5)
    print("reslab recipes show RECIPE prints a recipe with its settings and its differences from the paper.")
    return 0


@app.command
def show(name: str, /, *, json: JsonSwitch = False) -> int:
    """Show one recipe: its settings as TOML, its source, what to expect, and its differences from the paper.

    Save the settings to a file, change them, and train with 'reslab train RECIPE --config FILE'.

    Args:
        name: The recipe's name.
        json: Print JSON.
    """
    from reslab.recipes import find_recipe

    recipe = find_recipe(name)
    if json:
        print(jsonlib.dumps(asdict(_document(recipe)), indent=2, ensure_ascii=False))
        return 0
    notes = recipe.notes
    print(f"# {name}: {recipe.make().model.label}")
    print(f"# paper: {notes.source}\n# expected: {notes.expected}\n# cost: {notes.cost}")
    print("# differences from the paper:")
    for difference in notes.differences:
        print(f"# - {difference}")
    print(to_toml(_config(recipe)))
    return 0


def to_toml(values: "Mapping[str, JsonValue]", prefix: str = "") -> str:
    """Return nested settings as TOML; none has no TOML form and becomes a comment."""
    plain = [f"{key} = {_literal(value)}" if value is not None else f"# {key} = none" for key, value in values.items()
             if not isinstance(value, dict)]  # fmt: skip
    parts = [
        f"\n[{prefix}{key}]\n{to_toml(value, f'{prefix}{key}.')}"
        for key, value in values.items()
        if isinstance(value, dict)
    ]
    return "\n".join([*plain, *parts])


def _literal(value: "JsonValue") -> str:
    # JSON's numbers, strings, lists and booleans are TOML's
    return jsonlib.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeDocument:
    """What --json prints of a recipe.

    Attributes:
        name: The recipe's name.
        network: The network's label.
        source: Where the set-up stands in the paper.
        expected: The result to expect, in words.
        cost: What the training costs, in images.
        differences: How the set-up differs from the paper.
        config: The settings, a document of `reslab.config`.
    """

    name: str
    network: str
    source: str
    expected: str
    cost: str
    differences: tuple[str, ...]
    config: "dict[str, JsonValue]"


def _document(recipe: "Recipe") -> RecipeDocument:
    notes = recipe.notes
    return RecipeDocument(
        name=recipe.name,
        network=recipe.make().model.label,
        source=notes.source,
        expected=notes.expected,
        cost=notes.cost,
        differences=notes.differences,
        config=_config(recipe),
    )


def _config(recipe: "Recipe") -> "dict[str, JsonValue]":
    from reslab.config import to_dict

    values = to_dict(recipe.make())
    del values["recipe"]
    return values
