"""The check of types finds every way to name a dictionary of unknown content, and nothing else."""

import sys
from pathlib import Path

import pytest
from check_types import LIMIT, find_places, main

_ONCE = [
    "def f(x: dict[str, Any]): ...",
    "def f() -> dict[str, object]: ...",
    "async def f() -> dict[str, Any]: ...",
    "def f(*args: dict[str, Any]): ...",
    "def f(**names: dict[str, Any]): ...",
    "def f(*, x: dict[str, Any] | None = None): ...",
    "x: dict[str, Any] = {}",
    "class A:\n    x: dict[str, Any]",
    "class A:\n    def f(self):\n        self.x: dict[str, Any] = {}",
    "class A(dict[str, Any]): ...",
    "x: list[dict[str, Any]]",
    "x: dict[str, dict[str, Any]]",
    "x: tuple[int, Callable[[dict[str, Any]], None]]",
    "x: dict[int, Any]",
    "x: dict[Any, Any]",
    "x: dict[str, Any | None]",
    "x: 'dict[str, Any]'",
    "x: 'list[dict[str, Any]] | None'",
    "x: list['dict[str, Any]']",
    "x: dict[str, 'Any']",
    "x: Annotated[dict[str, Any], 'dict']",
    "x: Dict[str, Any]",
    "x: typing.Dict[str, typing.Any]",
    "x: Mapping[str, Any]",
    "x: Mapping[str, object]",
    "x: collections.abc.Mapping[str, Any]",
    "x: MutableMapping[str, Any]",
    "x: MutableMapping[str, object]",
    "x: defaultdict[str, Any]",
    "x: OrderedDict[str, Any]",
    "from typing import Any as Whatever\nx: dict[str, Whatever]",
    "from collections.abc import Mapping as M\nx: M[str, Any]",
    "x: dict",
    "x: 'dict'",
    "x: list[dict]",
    "x: dict | None",
    "x: Dict",
    "x: Mapping",
    "x: MutableMapping",
    "def f() -> Mapping: ...",
    "x = cast('dict[str, Any]', y)",
    "x = cast(dict, y)",
    "x = TypeAdapter(dict[str, Any])",
    "Json = dict[str, Any]",
    "Json = dict",
    "Json: TypeAlias = 'dict[str, Any]'",
    "Rows = list[dict[str, Any]]",
]

_NEVER = [
    "x: dict[str, int]",
    "x: Mapping[str, float | None]",
    "x: dict[str, list[int]]",
    "x: dict[str, JsonValue]",
    "x: dict[Any, int]",
    "x: Any",
    "x: object",
    "x: list[Any]",
    "x: Callable[[dict[str, int]], Any]",
    "x: Literal['dict']",
    "x: Annotated[int, 'dict']",
    "x = dict(a=1)",
    "x = {}",
    "assert isinstance(x, dict)",
    "x = sorted(y, key=dict)",
    "'''A function of dict[str, Any].'''",
    "# dict[str, Any]",
    "x: str = 'dict[str, Any]'",
]


def _write(folder: Path, **modules: str) -> Path:
    for name, text in modules.items():
        path = folder / "package" / f"{name.replace('__', '/') if name != '__init__' else name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    return folder / "package"


def _found(folder: Path) -> list[str]:
    return [f"{place.path.relative_to(folder)}:{place.line}: {place.type}" for place in find_places(folder)]


@pytest.mark.parametrize("text", _ONCE)
def test_every_way_to_name_one_is_found_once(text: str, tmp_path: Path) -> None:
    assert len(_found(_write(tmp_path, module=text))) == 1


@pytest.mark.parametrize("text", _NEVER)
def test_typed_dictionaries_values_and_words_are_left_alone(text: str, tmp_path: Path) -> None:
    assert _found(_write(tmp_path, module=text)) == []


def test_two_in_one_line_are_two(tmp_path: Path) -> None:
    folder = _write(tmp_path, module="def f(x: dict[str, Any]) -> 'dict[str, Any] | Mapping[str, Any]': ...")

    assert _found(folder) == [
        "module.py:1: dict[str, Any]",
        "module.py:1: dict[str, Any]",
        "module.py:1: Mapping[str, Any]",
    ]


def test_each_use_of_an_alias_counts_in_whatever_module_it_is(tmp_path: Path) -> None:
    folder = _write(
        tmp_path,
        __init__="from .types import Json\n__all__ = ['Json']",
        types="from typing import Any\nJson = dict[str, Any]\nObject = Json\nNumbers = dict[str, int]",
        here="from .types import Numbers, Object as Thing\ndef f(x: Thing, y: Numbers) -> list[Thing]: ...",
        there="import package.types as t\nfrom package import Json\nx: Json\ny: 't.Json'\nz: t.Numbers",
        other="class Json: ...\nx: Json",
    )

    assert _found(folder) == [
        "here.py:2: Thing",
        "here.py:2: Thing",
        "there.py:3: Json",
        "there.py:4: t.Json",
        "types.py:2: dict[str, Any]",
        "types.py:3: Json",
    ]


def test_an_alias_of_an_outer_package_is_found_through_dots(tmp_path: Path) -> None:
    folder = _write(tmp_path, types="Json = dict[str, Any]", inner__deep="from ..types import Json\nx: Json")

    assert _found(folder) == ["inner/deep.py:2: Json", "types.py:1: dict[str, Any]"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement is of Python 3.12")
def test_a_type_statement_is_an_alias(tmp_path: Path) -> None:
    folder = _write(tmp_path, module="type Json = dict[str, Any]\nx: Json")

    assert _found(folder) == ["module.py:1: dict[str, Any]", "module.py:2: Json"]


def test_a_folder_at_the_limit_passes_and_prints_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _write(tmp_path, module="\n".join(f"x{number}: dict[str, Any]" for number in range(LIMIT)))

    assert main([str(folder)]) == 0
    assert capsys.readouterr().out == ""
    assert main([str(folder), "--all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == LIMIT


def test_a_folder_above_the_limit_fails_and_every_place_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _write(tmp_path, module="\n".join(f"x{number}: dict[str, Any]" for number in range(LIMIT + 1)))

    assert main([str(folder)]) == 1
    *places, sentence = capsys.readouterr().out.splitlines()
    assert places == [f"{folder / 'module.py'}:{line}: dict[str, Any]" for line in range(1, LIMIT + 2)]
    assert sentence.startswith(f"{LIMIT + 1} dictionaries of unknown content; {LIMIT} are allowed.")


def test_the_package_is_below_the_limit() -> None:
    assert main([]) == 0
