"""Jobs side by side: told one by one, and gone when the command that began them is."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import until

from reslab.errors import Interrupted, RunError
from reslab.runs import parallel as jobs
from reslab.runs.parallel import run_side_by_side

_SLEEPY = """
import sys, time
from pathlib import Path
from reslab.runs.parallel import end_with_parent

end_with_parent()
Path(sys.argv[-1]).touch()
time.sleep(3600)
"""
_NEVER_ENDING = "import sys, time\nfrom pathlib import Path\nPath(sys.argv[1]).touch()\ntime.sleep(3600)\n"
_PARENT = """
import sys
from reslab.runs.parallel import run_side_by_side

run_side_by_side([[path] for path in sys.argv[1:]], 2)
"""


@pytest.fixture
def sleepy_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `reslab` whose command touches a file and sleeps, with the real `jobs`."""
    package = tmp_path / "reslab"
    (package / "runs").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "runs" / "__init__.py").touch()
    (package / "__main__.py").write_text(_SLEEPY)
    source = Path(sys.modules["reslab.runs.parallel"].__file__ or "").parents[1]
    for name in ("runs/parallel.py", "errors.py"):
        (package / name).write_bytes((source / name).read_bytes())
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def _children(process: int) -> list[int]:
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True)
    return [int(line) for line in done.stdout.split()]


def _is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # an orphan that nobody waits for


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_jobs_end_when_their_command_is_killed(sleepy_command: Path) -> None:
    begun = [sleepy_command / name for name in ("one", "two")]
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, *map(str, begun)])
    try:
        until(lambda: all(path.exists() for path in begun))
        children = _children(parent.pid)
        assert len(children) == 2
        assert all(map(_is_alive, children))
    finally:
        parent.kill()
        parent.wait()
    until(lambda: not any(map(_is_alive, children)))


def test_each_end_is_told_by_its_place_and_the_worst_code_is_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reslab").mkdir()
    (tmp_path / "reslab" / "__init__.py").touch()
    (tmp_path / "reslab" / "__main__.py").write_text("import sys\nsys.exit(int(sys.argv[1]))\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    told: list[int] = []
    codes: dict[int, int] = {}
    assert run_side_by_side([["0"], ["3"], ["0"], ["2"]], 2, told.append, codes.__setitem__) == 3
    assert sorted(told) == [0, 2]
    assert codes == {1: 3, 3: 2}


def test_jobs_share_the_cores_that_this_process_may_use_and_import_nothing_from_where_they_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "fake" / "reslab"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import os, queue, sys\nsys.exit(int(os.environ['OMP_NUM_THREADS']))\n")
    (tmp_path / "queue.py").write_text("raise SystemExit(99)\n")
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(jobs, "_num_cores", lambda: 6)
    monkeypatch.chdir(tmp_path)
    assert run_side_by_side([["one"], ["two"]], 2) == 3


def test_what_goes_wrong_between_jobs_stops_those_that_still_run(sleepy_command: Path) -> None:
    (sleepy_command / "reslab" / "__main__.py").write_text(
        "import sys, time\nfrom pathlib import Path\nPath(sys.argv[1]).touch()\n"
        "time.sleep(3600 if 'long' in sys.argv[1] else 0)\n"
    )

    def refuse(number: int) -> None:
        raise RuntimeError("no room for the record")

    before = time.monotonic()
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError, match="no room"):
        run_side_by_side([[str(sleepy_command / "long")], [str(sleepy_command / "short")]], 2, refuse)
    assert time.monotonic() - before < 1800  # not the hour of the job
    assert signal.getsignal(signal.SIGTERM) is handler
    assert "RESLAB_LIFELINE" not in os.environ


def _signal_once(number: signal.Signals, *paths: Path) -> None:
    """Send a signal to this process as soon as there is something at all of the paths."""

    def send() -> None:
        until(lambda: all(path.exists() for path in paths))
        os.kill(os.getpid(), number)

    threading.Thread(target=send).start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_of_jobs_that_do_not_listen_yet_counts_as_one(sleepy_command: Path, number: signal.Signals) -> None:
    (sleepy_command / "reslab" / "__main__.py").write_text(_NEVER_ENDING)  # as a job that has no handler yet
    begun = [sleepy_command / name for name in ("one", "two", "three")]
    _signal_once(number, *begun[:2])
    assert run_side_by_side([[str(path)] for path in begun], 2) == 130
    assert [path.exists() for path in begun] == [True, True, False]


def test_a_job_killed_for_memory_before_does_not_hide_a_stop(sleepy_command: Path) -> None:
    (sleepy_command / "reslab" / "__main__.py").write_text(
        "import os, signal, sys\nif sys.argv[1] == 'killed': os.kill(os.getpid(), signal.SIGKILL)\n" + _NEVER_ENDING
    )
    begun = sleepy_command / "begun"
    _signal_once(signal.SIGTERM, begun)
    assert run_side_by_side([["killed"], [str(begun)], ["never"]], 1) == 130
    assert run_side_by_side([["killed"]], 1) == 137


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_between_two_jobs_is_not_a_success(sleepy_command: Path, number: signal.Signals) -> None:
    (sleepy_command / "reslab" / "__main__.py").write_text("import sys\nopen(sys.argv[1], 'w').close()\n")
    begun = [sleepy_command / str(place) for place in range(3)]

    def note(place: int) -> None:
        os.kill(os.getpid(), number)

    assert run_side_by_side([[str(path)] for path in begun], 1, note) == 130
    assert [path.exists() for path in begun] == [True, False, False]


def test_a_stop_while_a_job_is_begun_reaches_it(sleepy_command: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (sleepy_command / "reslab" / "__main__.py").write_text(_NEVER_ENDING)
    start = jobs._start

    def start_and_be_stopped(*arguments: Any) -> Any:
        job = start(*arguments)
        os.kill(os.getpid(), signal.SIGTERM)
        return job

    monkeypatch.setattr(jobs, "_start", start_and_be_stopped)
    before = time.monotonic()
    assert run_side_by_side([[str(sleepy_command / "one")], [str(sleepy_command / "two")]], 2) == 130
    assert time.monotonic() - before < 1800  # not the hour of the job
    assert not (sleepy_command / "two").exists()


def test_what_goes_wrong_after_a_stop_was_asked_for_is_told_as_a_stop(sleepy_command: Path) -> None:
    (sleepy_command / "reslab" / "__main__.py").write_text("")

    def refuse(place: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise RunError("no room for the record")

    with pytest.raises(Interrupted, match="no room for the record"):
        run_side_by_side([[""], [""]], 1, refuse)
