"""Deep residual learning (He, Zhang, Ren, Sun 2015) as real software.

Names are loaded when they are first used, so that `reslab --help` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reslab.artifacts.model_file import ModelFile, load_model, save_model
    from reslab.config import RunConfig, override
    from reslab.errors import Interrupted, RunError, UsageError
    from reslab.inference import BadFile, Explanation, LoadedModel, Prediction, Predictor, load
    from reslab.models import create_model, deepen
    from reslab.recipes import recipe, recipe_names
    from reslab.runs.train import train_run
    from reslab.spec import ModelSpec, PreprocessSpec
    from reslab.spec.families import model_names, model_spec

__version__ = "0.1.0"

_HOMES = {
    "reslab.config": ("RunConfig", "override"),
    "reslab.errors": ("RunError", "Interrupted", "UsageError"),
    "reslab.spec.families": ("model_names", "model_spec"),
    "reslab.inference": ("BadFile", "Explanation", "LoadedModel", "Prediction", "Predictor", "load"),
    "reslab.artifacts.model_file": ("ModelFile", "load_model", "save_model"),
    "reslab.models": ("create_model", "deepen"),
    "reslab.recipes": ("recipe", "recipe_names"),
    "reslab.runs.train": ("train_run",),
    "reslab.spec.specs": ("ModelSpec", "PreprocessSpec"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BadFile",
    "Explanation",
    "Interrupted",
    "LoadedModel",
    "ModelFile",
    "ModelSpec",
    "Prediction",
    "Predictor",
    "PreprocessSpec",
    "RunConfig",
    "RunError",
    "UsageError",
    "create_model",
    "deepen",
    "load",
    "load_model",
    "model_names",
    "model_spec",
    "override",
    "recipe",
    "recipe_names",
    "save_model",
    "train_run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'reslab' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
