"""The specs of networks and their inputs, as data without torch."""

from .families import model_names, model_spec
from .specs import (
    BOTTLENECK_EXPANSION,
    Block,
    Family,
    ModelSpec,
    Norm,
    PreprocessSpec,
    ResizeMode,
    Shortcut,
    Stem,
    StrideOn,
    ZeroPad,
)

__all__ = [
    "BOTTLENECK_EXPANSION",
    "Block",
    "Family",
    "ModelSpec",
    "Norm",
    "PreprocessSpec",
    "ResizeMode",
    "Shortcut",
    "Stem",
    "StrideOn",
    "ZeroPad",
    "model_names",
    "model_spec",
]
