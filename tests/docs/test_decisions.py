"""Every decision has its page, its date, its status, and its line in the list."""

import re
from datetime import date
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
PAGES = sorted(FOLDER.glob("0*.md"))
_HEAD = re.compile(r"# (?P<number>\d{4}) (?P<title>.+)\n\n- Date: (?P<date>.+)\n- Status: (?P<status>.+)\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_decision_has_a_date_a_status_and_three_parts(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    head = _HEAD.match(text)

    assert head is not None
    assert page.name.startswith(f"{head['number']}-")
    assert date.fromisoformat(head["date"])
    assert re.match(r"(accepted|superseded by)\b", head["status"])
    assert re.findall(r"^## (.+)$", text, re.M) == ["Context", "Decision", "Consequences"]


def test_the_list_has_every_decision_in_order() -> None:
    heads = [(page.name, _HEAD.match(page.read_text(encoding="utf-8"))) for page in PAGES]
    expected = [f"| {h['number']} | [{h['title']}]({name}) | {h['date']} | {h['status']} |" for name, h in heads if h]
    listed = [line for line in (FOLDER / "index.md").read_text(encoding="utf-8").splitlines() if line.startswith("| 0")]

    assert listed == expected
    assert [int(line[2:6]) for line in listed] == list(range(1, len(PAGES) + 1))
