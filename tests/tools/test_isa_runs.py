"""The script that tests as on other processors: what it skips, what it reads from pytest, and when it fails."""

import os
import subprocess
from pathlib import Path

import pytest
import test_isa
from test_isa import NEEDS, Outcome, Run, busy_process, counts, execute, missing_flags, plan, table

_SKYLAKE = "processor : 0\nflags\t\t: fpu fma avx2 avx512f avx512bw avx512dq avx512vl\nbugs : none\n"


def test_an_instruction_set_is_skipped_for_each_flag_that_the_processor_lacks() -> None:
    assert [isa for isa in NEEDS if not missing_flags(isa, _SKYLAKE)] == ["AVX2", "AVX512_CORE"]
    assert missing_flags("AVX512_CORE_BF16", _SKYLAKE) == ["avx512_bf16", "avx512_vnni"]
    assert missing_flags("AVX2", "flags : fpu avx\nother flags : avx2 fma\n") == ["avx2", "fma"]
    assert missing_flags("AVX2", "") == ["avx2", "fma"]  # as of a processor without such a list


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ("....\n4 passed in 0.52s\n", (4, 0)),
        ("==== 1 failed, 2614 passed, 1 skipped in 960.50s (0:16:00) ====", (2614, 1)),
        ("FAILED tests/a.py::test_9_passed in 3 rows\n2 failed, 5 passed, 3 errors in 61.20s (0:01:01)", (5, 5)),
        ("1 passed, 1 error in 2.00s", (1, 1)),
        ("no tests ran in 0.01s", (0, 0)),
        ("12 passed so far\nSegmentation fault", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_the_last_line_of_pytest_is_counted(output: str, found: tuple[int, int]) -> None:
    assert counts(output) == found


def test_the_slowest_comes_beside_a_busy_process_first_and_all_come_by_themselves() -> None:
    assert plan(["AVX2", "AVX512_CORE"], only_busy=None) == [
        Run("AVX2", True),
        Run("AVX2", False),
        Run("AVX512_CORE", False),
    ]
    assert plan(["AVX512_CORE"], only_busy=True) == [Run("AVX512_CORE", True)]
    assert plan([], only_busy=None) == []


def test_the_limit_is_for_runs_without_a_busy_process() -> None:
    def outcome(minutes: float, *, is_busy: bool = False, has_ended_well: bool = True) -> Outcome:
        return Outcome(Run("AVX2", is_busy), 9, 0, minutes, has_ended_well)

    assert outcome(7.9).problem(8) == ""
    assert outcome(8.1).problem(8) == "over 8 minutes"
    assert outcome(20, is_busy=True).problem(8) == ""
    assert outcome(1, is_busy=True, has_ended_well=False).problem(8) == "failed"
    head, first, second = table([outcome(8.14), outcome(1, is_busy=True)], 8).splitlines()
    assert head.split() == ["oneDNN", "held", "to", "next", "to", "passed", "failed", "minutes"]
    assert first.split() == ["AVX2", "nothing", "9", "0", "8.1", "over", "8", "minutes"]
    assert second.split() == ["AVX2", "busy", "9", "0", "1.0"]


@pytest.mark.parametrize(("code", "ends_well"), [(0, True), (3, False)])
def test_a_run_has_its_instruction_set_and_its_output_is_kept(code: int, ends_well: bool, tmp_path: Path) -> None:
    script = (
        f"import os\nprint(os.environ['ONEDNN_MAX_CPU_ISA'], '1 passed, 2 failed in 0.10s')\nraise SystemExit({code})"
    )
    outcome = execute(Run("AVX2", is_busy=True), tmp_path, ["-c", script])
    assert (outcome.passed, outcome.failed, outcome.has_ended_well) == (1, 2, ends_well)
    assert (tmp_path / "AVX2-busy.log").read_text() == "AVX2 1 passed, 2 failed in 0.10s\n"


def test_the_busy_process_ends_with_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[subprocess.Popen[bytes]] = []

    class Kept(subprocess.Popen[bytes]):
        def __init__(self, command: list[str]) -> None:
            super().__init__(command)
            begun.append(self)

    def stop() -> None:
        with busy_process():
            assert begun[0].poll() is None
            raise KeyboardInterrupt

    monkeypatch.setattr(test_isa.subprocess, "Popen", Kept)
    with pytest.raises(KeyboardInterrupt):
        stop()
    with pytest.raises(ProcessLookupError):
        os.kill(begun[0].pid, 0)


def test_where_nothing_could_be_tested_it_fails_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(test_isa, "missing_flags", lambda isa, text: ["amx_tile"])
    assert test_isa.main(["--isa", "AVX512_CORE_AMX", "--folder", str(tmp_path)]) == 1
    assert "AVX512_CORE_AMX: skipped: the processor does not have amx_tile" in capsys.readouterr().out


def test_the_exit_code_tells_whether_all_passed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_isa, "missing_flags", lambda isa, text: [])
    monkeypatch.setattr(test_isa, "execute", lambda run, folder: Outcome(run, 1, 0, 9.0, True))
    assert test_isa.main(["--isa", "AVX2", "--busy"]) == 0
    assert test_isa.main(["--isa", "AVX2", "--limit", "10"]) == 0
    assert test_isa.main([]) == 1
