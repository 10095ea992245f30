"""Files that are there whole or not at all."""

import os
import time
from pathlib import Path

from reslab.files import open_atomically, sweep_temporaries


def test_what_a_kill_left_of_a_file_is_swept_but_not_what_is_being_written(tmp_path: Path) -> None:
    kept = [tmp_path / name for name in ("report.html", ".lock", ".test_uses.lock", ".report.html")]
    left = [tmp_path / name for name in (".report.html-ab12cd34", ".model.safetensors-_x9yz0_1")]
    for path in (*kept, *left):
        path.write_text("")
        os.utime(path, (time.time() - 7200,) * 2)
    with open_atomically(tmp_path / "result.json") as file:
        file.write(b"{}")
        sweep_temporaries(tmp_path)
        assert len(list(tmp_path.glob(".result.json-*"))) == 1
    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / "result.json"])
