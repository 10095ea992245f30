"""Named training set-ups: functions that return a RunConfig, and what the paper says beside each. No torch here.

Each recipe has a page: where in the paper it stands, what to expect, what it costs, and where it differs.
"""

from .catalog import RECIPES, Recipe, recipe, recipe_names
from .deviations import DIFFERENCES, Difference

__all__ = ["DIFFERENCES", "RECIPES", "Difference", "Recipe", "recipe", "recipe_names"]
