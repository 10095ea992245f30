"""The workflow tests what pyproject.toml claims, and names no host."""

import re
from pathlib import Path
from typing import Any

import yaml
from cell import Versions
from requirements import read_claims

ROOT = Path(__file__).parents[2]
_PATH = ROOT / ".github" / "workflows" / "ci.yml"
_TEXT = _PATH.read_text(encoding="utf-8")
_WORKFLOW: dict[Any, Any] = yaml.safe_load(_TEXT)


def test_every_claimed_python_runs_with_every_choice_of_versions() -> None:
    matrix = _WORKFLOW["jobs"]["test"]["strategy"]["matrix"]

    assert tuple(matrix["python"]) == read_claims(ROOT / "pyproject.toml").pythons
    assert set(matrix["versions"]) == set(Versions.__args__)


def test_every_job_has_a_machine_a_time_limit_and_steps() -> None:
    for job in _WORKFLOW["jobs"].values():
        assert job["runs-on"] == "ubuntu-latest"
        assert job["timeout-minutes"] <= 90
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])


def test_every_expression_names_a_known_context_and_an_axis_of_the_matrix() -> None:
    axes = {f"matrix.{axis}" for axis in _WORKFLOW["jobs"]["test"]["strategy"]["matrix"]}

    for expression in re.findall(r"\$\{\{ (.*?) \}\}", _TEXT):
        assert expression in {*axes, "vars.TORCH_INDEX", "github.workflow", "github.ref"}


def test_every_script_and_target_that_is_run_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    commands = [step["run"] for job in _WORKFLOW["jobs"].values() for step in job["steps"] if "run" in step]

    assert commands
    for command in commands:
        program, *arguments = command.split()
        assert set(arguments) <= targets if program == "make" else (ROOT / program).stat().st_mode & 0o100


def test_the_workflow_may_only_read_and_names_no_host() -> None:
    assert _WORKFLOW["permissions"] == {"contents": "read"}
    assert "://" not in _TEXT
