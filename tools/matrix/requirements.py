"""Read what pyproject.toml claims: Pythons, requirements and their lower bounds."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

USER_EXTRAS = ("report", "onnx", "openvino", "hub")
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[[\w,-]+\])?>=(?P<bound>[\w.]+)$")
_PYTHON = re.compile(r"Programming Language :: Python :: (\d\.\d+)$")


@dataclass(frozen=True)
class Claims:
    """The versions that the package promises to work with.

    Attributes:
        pythons: Minor versions of CPython, from the classifiers.
        bounds: The lowest version of each requirement that users install, by name.
        test_tools: Requirements of the extra `test`.
    """

    pythons: tuple[str, ...]
    bounds: dict[str, str]
    test_tools: tuple[str, ...]

    def lowest(self) -> list[str]:
        """Return a constraint `name==bound` for each requirement."""
        return [f"{name}=={bound}" for name, bound in self.bounds.items()]

    def without_torch(self) -> list[str]:
        """Return the requirements `name>=bound`, except torch."""
        return [f"{name}>={bound}" for name, bound in self.bounds.items() if name != "torch"]


def read_claims(pyproject: Path) -> Claims:
    """Read the claims of a pyproject.toml.

    Raises:
        ValueError: A requirement has no plain lower bound.
    """
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for extra in USER_EXTRAS for line in extras[extra])]
    pythons = [match[1] for line in project["classifiers"] if (match := _PYTHON.match(line))]
    return Claims(tuple(pythons), dict(map(_split, wanted)), tuple(extras["test"]))


def _split(requirement: str) -> tuple[str, str]:
    match = _REQUIREMENT.match(requirement)
    if not match:
        raise ValueError(
            f"{requirement!r} in pyproject.toml is not of the form name>=version, so nothing can test its bound."
        )
    return match["name"], match["bound"]
