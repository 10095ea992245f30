"""Files that are there whole or not at all."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reslab.errors import RunError
from reslab.system.files import open_atomically, sweep_temporaries, write_atomically


def test_what_a_kill_left_of_a_file_is_swept_but_not_what_is_being_written(tmp_path: Path) -> None:
    kept = [tmp_path / name for name in ("report.html", ".lock", ".test_uses.lock", ".report.html")]
    left = [tmp_path / name for name in (".report.html-ab12cd34", ".model.safetensors-_x9yz0_1")]
    for path in (*kept, *left):
        path.write_text("")
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    with open_atomically(tmp_path / "result.json") as file:
        file.write(b"{}")
        sweep_temporaries(tmp_path)
        assert len(list(tmp_path.glob(".result.json-*"))) == 1
    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / "result.json"])


def test_a_link_stays_one_and_a_file_keeps_its_permissions(tmp_path: Path) -> None:
    private, link = tmp_path / "private.json", tmp_path / "link.json"
    private.write_text("old")
    private.chmod(0o600)
    link.symlink_to(private)
    write_atomically(link, "new")
    assert link.is_symlink()
    assert private.read_text() == "new"
    assert private.stat().st_mode & 0o777 == 0o600
    write_atomically(tmp_path / "public.json", "")
    assert (tmp_path / "public.json").stat().st_mode & 0o777 == 0o644


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text)
        write_atomically(pipe, "rows")
        assert read.result() == "rows"
    assert pipe.is_fifo()


def test_a_folder_is_no_place_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot be written: Is a directory"):
        write_atomically(tmp_path, "")
