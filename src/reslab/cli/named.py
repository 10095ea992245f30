"""The config that a recipe's name or the config.json of a run stands for."""

from pathlib import Path
from typing import TYPE_CHECKING

from reslab.errors import UsageError

if TYPE_CHECKING:
    from reslab.config import RunConfig


def named_config(name: str) -> "RunConfig":
    """Return the config of a recipe, or that in a run's config.json.

    UsageError for a name that is neither; of a path it says what is there, and which command takes that.
    """
    from reslab.artifacts.run_folder import RunFolder
    from reslab.config import from_dict
    from reslab.recipes import RECIPES
    from reslab.recipes import recipe as find_recipe

    path = Path(name)
    if name not in RECIPES:
        if path.name == "config.json":
            return from_dict(RunFolder.open(path.parent).config())
        _refuse_path(path)
    return find_recipe(name).make()


def _refuse_path(path: Path) -> None:
    """UsageError for a file or a folder, or for what is written like one."""
    if path.is_dir():
        if (path / "config.json").is_file():
            raise UsageError(
                f"{path} is a run folder: go on with it by 'reslab train --resume --run-dir {path}', or repeat it by "
                f"'reslab train {path / 'config.json'} --run-dir DIR'."
            )
        raise UsageError(
            f"{path} is a folder, not a recipe: train on photos in it by 'reslab train folder --data {path}'."
        )
    there = "is a file, not a recipe" if path.exists() else "does not exist"
    if path.suffix == ".toml":
        raise UsageError(f"{path} {there}; a file of settings is given beside one: reslab train RECIPE --config FILE.")
    if path.suffix == ".json" or path.exists():
        raise UsageError(
            f"{path} {there}; a run is repeated by the file called config.json in its folder (reslab train "
            "RUN/config.json), and settings are read from a TOML file (reslab train RECIPE --config FILE.toml)."
        )
