"""The check of words, summaries and commit subjects finds what it should and nothing else."""

import subprocess
import tomllib
from pathlib import Path

import pytest
from check_voice import (
    RULES,
    commits,
    findings,
    length_findings,
    main,
    message_findings,
    read_rules,
    section_findings,
    summary_findings,
    word_findings,
)

_EXAMPLES = tomllib.loads(RULES.read_text(encoding="utf-8"))["rule"]
_LONG = " ".join(["word"] * 26)


def _words(path: Path, text: str) -> list[str]:
    path.write_text(text, encoding="utf-8")
    return list(word_findings(path, read_rules()))


@pytest.mark.parametrize("rule", _EXAMPLES, ids=lambda rule: rule["wrong"])
def test_every_rule_refuses_its_wrong_sentence_and_lets_its_right_one_pass(
    rule: dict[str, str], tmp_path: Path
) -> None:
    (finding,) = _words(tmp_path / "page.md", rule["wrong"])

    assert finding.startswith("1: ")
    assert finding.endswith(f"write: {rule['instead']}")
    assert _words(tmp_path / "page.md", rule["right"]) == []


def test_docstrings_comments_and_strings_are_read_and_names_are_not(tmp_path: Path) -> None:
    source = '''
"""A module.

It lies beside the other.
"""

beside = 1  # is made
# anew each time


def f(x: int) -> str:
    raise ValueError(
        f"{x} is no number, "
        "and is looked at by nobody"
    )
'''
    assert [finding.split(";")[0] for finding in _words(tmp_path / "module.py", source)] == [
        "4: 'beside'",
        "13: 'is no'",
        "14: 'looked at'",
        "8: 'anew'",
    ]


def test_words_that_a_line_end_a_comment_sign_or_a_tag_parts_are_found(tmp_path: Path) -> None:
    assert _words(tmp_path / "page.md", "It is\nno file.") == ["1: 'is no'; write: is not a, or has no"]
    assert len(_words(tmp_path / "module.py", "x = 1\n\n# it is\n# no file\n")) == 1
    assert len(_words(tmp_path / "page.html", "<p>It is <b>no</b> file.</p>")) == 1


def test_the_value_of_an_f_string_parts_words(tmp_path: Path) -> None:
    assert _words(tmp_path / "module.py", 'text = f"it is {kind} no"\n') == []
    assert len(_words(tmp_path / "module.py", "text = f\"{'made anew'}\"\n")) == 1


def test_parts_of_words_and_compounds_are_not_words(tmp_path: Path) -> None:
    assert _words(tmp_path / "page.md", "besides, renewed, is not, --anew") == []


def test_a_long_summary_of_something_public_is_found(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        f'"""{_LONG}"""\nclass A:\n    """A."""\n    def b(self):\n        """{_LONG}\n\n        More."""\n'
    )

    assert list(summary_findings(path)) == [
        "1: the summary of the module has 26 words; 25 are allowed",
        "4: the summary of A.b has 26 words; 25 are allowed",
    ]


def test_summaries_of_private_things_and_long_later_paragraphs_are_free(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        f'"""{_LONG.removesuffix(" word")}\n\n{_LONG}"""\n'
        f'def _f():\n    """{_LONG}"""\nclass _A:\n    def b(self):\n        """{_LONG}"""\n'
    )

    assert list(summary_findings(path)) == []


@pytest.mark.parametrize(
    ("docstring", "finding"),
    [
        ("Draw it. size: in pixels.", "1: f describes 'size' in its prose"),
        ("Draw it.\n\n    size: in pixels.", "1: f describes 'size' in its prose"),
        ("Draw it; `color`: a name.", "1: f describes 'color' in its prose"),
        ("Draw it; RunError names the file.", "1: f names RunError in its prose"),
        ("Draw it.\n\n    Raises UsageError for a size below 1.", "1: f names UsageError in its prose"),
        ("Draw it.\n\n    Interrupted after Ctrl-C.", "1: f names Interrupted in its prose"),
        ("Draw it.\n\n    Args:\n        size: In pixels.\n\n    Raises:\n        RunError: It is too large.", None),
        ("Draw it in a size like 8: any number of pixels.", None),
        ("Make a RunError of a full disk.", None),
        ("Return size, color: both as they were given.", None),
    ],
)
def test_arguments_and_errors_are_described_in_sections(docstring: str, finding: str | None, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(f'def f(size, *, color=None):\n    """{docstring}"""\n')

    found = list(section_findings(path))
    assert len(found) == (finding is not None)
    assert all(finding is not None and line.startswith(finding) for line in found)


def test_the_fields_of_a_class_and_the_parameters_of_its_init_are_arguments(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        'class A:\n    """A. b: a field."""\n    b: int\n'
        'class C:\n    """C. d: a parameter."""\n    def __init__(self, d): ...\n'
    )

    assert [line.split(";")[0] for line in section_findings(path)] == [
        "1: A describes 'b' in its prose",
        "4: C describes 'd' in its prose",
    ]


@pytest.mark.parametrize(
    "subject",
    [
        "compare: keep legends off the curves",
        "tools, docs: embed the figures",
        "Split start and resume",
        "runs: pass the seed",
        "data: process photos in chunks",
        "x" * 72,
    ],
)
def test_an_imperative_subject_of_72_characters_passes(subject: str) -> None:
    assert list(message_findings(subject)) == []


@pytest.mark.parametrize(
    ("subject", "finding"),
    [
        ("x" * 73, "the subject has 73 characters"),
        ("compare: keep legends off the curves.", "full stop"),
        ("compare: keeps legends off", "'keeps' is not an imperative"),
        ("compare: kept legends, moved others", None),
        ("Added a test", "'Added' is not an imperative"),
        ("runs: splitting start and resume", "'splitting' is not an imperative"),
        ("cli: a setting in its place is answered", "'a' is not an imperative"),
        ("The example page is of today", "'The' is not an imperative"),
    ],
)
def test_what_is_wrong_with_a_subject_is_named(subject: str, finding: str | None) -> None:
    found = list(message_findings(subject))

    assert len(found) == (finding is not None)
    assert all(finding is not None and finding in line for line in found)


def test_written_commits_are_held_to_length_only() -> None:
    assert list(length_findings("cli: a setting in its place is answered")) == []
    assert len(list(length_findings("x" * 73))) == 1


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with two commits, whose second subject is too long."""
    _git(tmp_path, "init", "-q")
    for subject in ("Begin " + "x" * 80, "Go " + "y" * 80):
        _git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", subject)
    return tmp_path


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_only_commits_after_the_base_are_checked(checkout: Path) -> None:
    first = _git(checkout, "rev-parse", "HEAD~1")

    assert [subject[:2] for _, subject in commits(checkout, first)] == ["Go"]


def test_a_shallow_clone_without_the_base_is_checked_as_far_as_it_goes(checkout: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    _git(tmp_path, "clone", "-q", "--depth", "1", checkout.as_uri(), str(shallow))

    assert [subject[:2] for _, subject in commits(shallow)] == ["Go"]


def test_a_folder_inside_of_another_repository_has_no_commits_of_its_own(checkout: Path) -> None:
    (checkout / "unpacked").mkdir()

    assert commits(checkout / "unpacked") == []


def test_the_whole_checkout_is_read_and_the_pages_of_examples_are_not(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("src/a.py", "tools/b.py", "docs/examples/c.md", "docs/d/e.md", "README.md", "notes.txt"):
        path = checkout / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("'Made anew.'\n")

    assert main([], checkout) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed == list(findings(checkout))
    assert [line.split(":")[0] for line in printed] == [
        "src/a.py", "tools/b.py", "README.md", "docs/d/e.md", *(f"commit {c}" for c, _ in commits(checkout))
    ]  # fmt: skip


def test_a_message_is_checked_by_its_first_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "message"
    path.write_text("tools: check the voice\n\nAdded anew.\n")
    assert main(["--message", str(path)]) == 0

    path.write_text("Checks the voice\n")
    assert main(["--message", str(path)]) == 1
    assert capsys.readouterr().out == (
        "'Checks' is not an imperative; write what the commit does: 'add', 'keep', 'split'\n"
    )
