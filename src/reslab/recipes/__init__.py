"""Named training set-ups: functions that return a RunConfig, and notes on each. No torch here.

A recipe's notes say where in the paper it stands, what to expect, what it costs, and where it differs.
"""

from .catalog import RECIPES, Recipe, find_recipe, recipe, recipe_names
from .deviations import DEVIATIONS, Deviation

__all__ = ["DEVIATIONS", "RECIPES", "Deviation", "Recipe", "find_recipe", "recipe", "recipe_names"]
