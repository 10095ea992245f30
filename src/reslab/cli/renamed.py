"""Verbs and flags of earlier versions, each answered with its new name."""

import shlex
from collections.abc import Sequence

from reslab.errors import UsageError

FOLDER_RECIPE = "folder"  # the name that a planned run's config has

RENAMED_VERBS = {"experiment": "reproduce"}

RENAMED_FLAGS = {
    "predict": {"--fit": "it is now --resize-mode."},
    "evaluate": {"--fit": "it is now --resize-mode."},
    "train": {
        "--model": "a recipe's name says its network. For photos of your own: reslab train-folder DATA --model NAME",
        "--epochs": "use --train.iterations. For photos of your own: reslab train-folder DATA --epochs N",
        "--size": "use --data.augment.crop_size. For photos of your own: reslab train-folder DATA --size PIXELS",
    },
}


def check_words(words: Sequence[str]) -> None:
    """Refuse a verb or a flag of an earlier version.

    Args:
        words: The words after `reslab`.

    Raises:
        UsageError: The message says what to write instead.
    """
    if not words:
        return
    verb, *rest = words
    if verb in RENAMED_VERBS:
        new = RENAMED_VERBS[verb]
        raise UsageError(f"'reslab {verb}' is now 'reslab {new}'; use: {shlex.join(['reslab', new, *rest])}")
    if verb == "train" and rest[:1] == [FOLDER_RECIPE]:
        raise UsageError(
            f"'reslab train folder' is now a verb of its own; use: reslab train-folder {shlex.join(rest[1:]) or 'DATA'}"
        )
    for flag, answer in RENAMED_FLAGS.get(verb, {}).items():
        if any(word == flag or word.startswith(f"{flag}=") for word in rest):
            raise UsageError(f"'reslab {verb}' has no {flag}: {answer}")


def check_recipe(name: str) -> None:
    """Refuse the recipe that has become a verb.

    Raises:
        UsageError: The message names the verb.
    """
    if name == FOLDER_RECIPE:
        raise UsageError("the config of recipe 'folder' is planned for your photos; use: reslab train-folder DATA")
