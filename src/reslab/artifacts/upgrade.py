"""Documents of format version 1 as documents of today: what reslab wrote before 0.1.0 is still read."""

from collections.abc import Mapping

from pydantic import JsonValue

from reslab.config.upgrade import upgrade as upgrade_config

__all__ = ["upgrade_config", "upgrade_model_file", "upgrade_record"]


def upgrade_model_file(document: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the document of a model file with the names of today."""
    preprocess = document.get("preprocess")
    if not isinstance(preprocess, dict) or "fit" not in preprocess:
        return dict(document)
    renamed = {"resize_mode" if key == "fit" else key: value for key, value in preprocess.items()}
    return {**document, "preprocess": renamed}


def upgrade_record(document: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return a record with the names of today."""
    config = document.get("config")
    return {**document, "config": upgrade_config(config)} if isinstance(config, dict) else dict(document)
