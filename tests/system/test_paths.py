"""Where files that can be made again are kept."""

import sys
from pathlib import Path

import pytest

from reslab.system.paths import cache_folder


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other places")
def test_the_cache_is_in_the_users_folder_and_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path.home() / ".cache" / "reslab"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "reslab"
    assert not cache_folder().exists()
