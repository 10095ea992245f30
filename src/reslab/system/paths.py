"""Where this package keeps its own files on the user's machine."""

from pathlib import Path

from platformdirs import user_cache_path


def cache_folder() -> Path:
    """Return the folder for files that can be made or downloaded again; the folder is not created.

    On Linux it is `$XDG_CACHE_HOME/reslab`, by default `~/.cache/reslab`; elsewhere, the system's place for caches.
    """
    return user_cache_path("reslab", appauthor=False)
