"""The config that a command's words ask for: of a recipe, a config.json or a run, with the settings that change it."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.errors import UsageError

from .model_args import model_path
from .renamed import check_recipe

if TYPE_CHECKING:
    from reslab.config import RunConfig, Setting


@dataclass(frozen=True, slots=True)
class Settings:
    """Changes to a config.

    Attributes:
        changes: Nested changes in the order they apply: a file's, those given as --part.name, those of named flags.
    """

    changes: "tuple[Mapping[str, Setting], ...]"

    def apply(self, config: "RunConfig") -> "RunConfig":
        """Return the config with all changes.

        Raises:
            UsageError: A setting does not exist, or its value is not allowed.
        """
        from reslab.config import override

        return override(config, *self.changes)

    def value(self, *path: str, default: Any = None) -> Any:
        """Return the last value given for a key such as "data", "path"."""
        for changes in reversed(self.changes):
            value: Any = changes
            for key in path:
                value = value.get(key, _MISSING) if isinstance(value, Mapping) else _MISSING
            if value is not _MISSING:
                return value
        return default

    def keys(self) -> set[str]:
        """Return every key that is set, such as "data.path"."""
        return {key for changes in self.changes for key in _keys(changes)}


_MISSING = object()


def _keys(changes: "Mapping[str, Setting]", prefix: str = "") -> Iterator[str]:
    for key, value in changes.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def read_settings(
    overrides: Sequence[str],
    *,
    config: Path | None = None,
    seed: int | None = None,
    data: str | None = None,
    data_kind: str | None = None,
    weights: str | None = None,
) -> Settings:
    """Return the changes that a command's words make; of several to one setting the last applies.

    Args:
        overrides: Words like --optim.lr 0.05, which apply after the file.
        config: A TOML file of settings, which apply first.
        seed: What --seed says. The named flags apply last.
        data: What --data says.
        data_kind: What --data-kind says.
        weights: What --weights says: a model file, a run folder or a name on the hub.
    """
    from reslab.config import read_toml

    named: dict[str, Setting] = {} if seed is None else {"seed": seed}
    if data is not None:
        named["data"] = {"path": str(Path(data).expanduser().absolute()), "kind": data_kind or "auto"}
    elif data_kind is not None:
        named["data"] = {"kind": data_kind}
    if weights is not None:
        named["weights"] = weights
    changes = (read_toml(config) if config else {}, parse_overrides(overrides), named)
    return Settings(tuple(map(_with_local_weights, changes)))


def _with_local_weights(changes: "Mapping[str, Setting]") -> "Mapping[str, Setting]":
    """Let weights be a model file: that of a finished run's folder, or one converted from the Hugging Face hub."""
    from reslab.weights.hub import convert_into_cache, is_hub_name

    weights = changes.get("weights")
    if not isinstance(weights, str) or weights == "none":
        return changes
    if is_hub_name(weights):
        return {**changes, "weights": str(convert_into_cache(weights))}
    path = Path(weights).expanduser().resolve()
    return {**changes, "weights": str(model_path(path) if path.is_dir() else path)}


def parse_overrides(words: Sequence[str]) -> "dict[str, Setting]":
    """Return nested changes: ["--optim.lr", "0.05"] becomes {"optim": {"lr": 0.05}}.

    A value is read as TOML (number, true, false, [1, 2], "text") and otherwise taken as text.

    Raises:
        UsageError: A flag without a value, or a value without a flag.
    """
    changes: dict[str, Setting] = {}
    rest = list(words)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith("--"):
            raise UsageError(
                f"{flag!r} belongs to no option; settings are given as --part.name VALUE, e.g. --optim.lr 0.05."
            )
        name, equals, text = flag[2:].partition("=")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise UsageError(f"{flag} needs a value, e.g. {flag} VALUE.")
            text = rest.pop(0)
        _set(changes, name.replace("-", "_").split("."), _parse_value(text))
    return changes


def _parse_value(text: str) -> "Setting":
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _set(changes: "dict[str, Setting]", path: list[str], value: "Setting") -> None:
    part = changes
    for key in path[:-1]:
        inner = part.setdefault(key, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--{'.'.join(path)}: {key!r} has a value already, so it cannot have settings of its own.")
        part = inner
    part[path[-1]] = value


def choose_config(recipe: str | None, settings: Settings, *, run: Path | None = None) -> "RunConfig":
    """Return the config to train.

    Args:
        recipe: A recipe's name or the path of a config.json; None for the config of `run`.
        settings: What changes it.
        run: The run folder to resume, if there is one.

    Raises:
        UsageError: Neither a recipe nor a run is named, or the recipe is not one.
    """
    if recipe is not None:
        return settings.apply(_named_config(recipe))
    if run is None:
        raise UsageError(
            "no recipe is named; 'reslab recipes' lists them. To resume a run: reslab train --resume --run-dir DIR."
        )
    return settings.apply(read_config(run))


def read_config(run: Path) -> "RunConfig":
    """Return the config of a run folder, or of a folder that seeds with one config share."""
    from reslab.artifacts.run_folder import RunFolder
    from reslab.config import from_dict

    return from_dict(RunFolder.open(run).config())


def _named_config(name: str) -> "RunConfig":
    """Return the config of a recipe or of a config.json."""
    from reslab.recipes import RECIPES, recipe

    if name.startswith("--"):
        raise UsageError(f"the recipe comes first: reslab train RECIPE {name} ...")
    check_recipe(name)
    path = Path(name)
    if name not in RECIPES:
        if path.name == "config.json":
            return read_config(path.parent)
        _refuse_path(path)
    return recipe(name)


def _refuse_path(path: Path) -> None:
    """Refuse a file, a folder, or text that looks like a path; the error says which command takes it."""
    if path.is_dir():
        if (path / "config.json").is_file():
            raise UsageError(
                f"{path} is a run folder. Resume it with 'reslab train --resume --run-dir {path}', or repeat it with "
                f"'reslab train {path / 'config.json'} --run-dir DIR'."
            )
        raise UsageError(f"{path} is a folder, not a recipe. To train on photos in it: 'reslab train-folder {path}'.")
    what = "is a file, not a recipe" if path.exists() else "does not exist"
    if path.suffix == ".toml":
        raise UsageError(f"{path} {what}. A file of settings goes with a recipe: reslab train RECIPE --config {path}")
    if path.suffix == ".json" or path.exists():
        raise UsageError(
            f"{path} {what}. To repeat a run, name the config.json in its folder: reslab train RUN/config.json. "
            "Settings are read from a TOML file: reslab train RECIPE --config FILE.toml"
        )
