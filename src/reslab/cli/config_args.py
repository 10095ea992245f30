"""The config that the flags of a command ask for: of a recipe, a config.json, a plan, or the run to go on with."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.errors import UsageError

from .folder_args import RECIPE as PLANNED
from .folder_args import plan_config, say_plan_is_kept
from .model_args import model_path
from .named import named_config
from .overrides import parse_overrides

if TYPE_CHECKING:
    from reslab.config import RunConfig


def read_settings(
    recipe: str | None,
    overrides: tuple[str, ...],
    *,
    seed: int | None = None,
    data: str | None = None,
    data_kind: str | None = None,
    weights: str | None = None,
    config: Path | None = None,
) -> list[dict[str, Any]]:
    """Return the changes in the order they apply: the file's, the settings', the named flags'."""
    from reslab.config import read_toml
    from reslab.weights.hub import is_hub_name

    if recipe is not None and recipe.startswith("--"):
        raise UsageError(f"the recipe comes first: reslab train RECIPE {recipe} ...")
    named: dict[str, Any] = {} if seed is None else {"seed": seed}
    if data is not None:
        named["data"] = {"path": str(Path(data).expanduser().absolute()), "kind": data_kind or "auto"}
    elif data_kind is not None:
        named["data"] = {"kind": data_kind}
    if weights is not None:
        named["weights"] = weights if is_hub_name(weights) else str(Path(weights).expanduser().resolve())
    return [read_toml(config) if config else {}, parse_overrides(overrides), named]


def choose(
    recipe: str | None,
    run_dir: Path | None,
    resume: bool,
    settings: list[dict[str, Any]],
    wishes: dict[str, Any] | None = None,
) -> "RunConfig":
    """Return the config: of the recipe, of a config.json, or of the run to resume; with the changes.

    wishes: the flags of `train folder`, whose config is planned, unless it goes on with a run.
    """
    from reslab.artifacts.run_folder import RunFolder
    from reslab.config import from_dict, override

    settings = [_with_local_weights(changes) for changes in settings]
    if recipe == PLANNED:
        if not (resume and run_dir):
            return plan_config(settings, **(wishes or {}))
        say_plan_is_kept(run_dir, wishes or {})
        recipe = str(run_dir / "config.json")
    if recipe is None:
        if not (resume and run_dir):
            raise UsageError("which recipe? 'reslab recipes' lists them; or go on with a run: --resume --run-dir DIR.")
        chosen = from_dict(RunFolder.open(run_dir).config())
    else:
        chosen = named_config(recipe)
    return override(chosen, *settings)


def _with_local_weights(changes: dict[str, Any]) -> dict[str, Any]:
    """Settings with a model file as weights: of a finished run's folder, or converted from the Hugging Face hub."""
    from reslab.weights.hub import convert_into_cache, is_hub_name

    weights = changes.get("weights")
    if not isinstance(weights, str):
        return changes
    if is_hub_name(weights):
        return {**changes, "weights": str(convert_into_cache(weights))}
    return {**changes, "weights": str(model_path(Path(weights)))} if Path(weights).is_dir() else changes


def begun_by_plan(recipe: str | None, resume: bool, folder: Path) -> Path | None:
    """Return `folder` where it holds what a planned run goes on with: a plan made anew may be another."""
    return folder if resume and recipe == PLANNED and (folder / "config.json").is_file() else None


def seed_of(settings: list[dict[str, Any]]) -> int:
    return next((changes["seed"] for changes in reversed(settings) if "seed" in changes), 0)
