"""Named training set-ups: functions that return a RunConfig, and what the paper says beside each. No torch here.

A recipe's docstring is its page: what it is, where in the paper it stands, what to expect, what it costs, and then,
as lines starting with "- ", where it differs from the paper.
"""

from .catalog import RECIPES, Recipe, recipe, recipe_names

__all__ = ["RECIPES", "Recipe", "recipe", "recipe_names"]
