"""What pages say of the machine that they were made on."""

import pytest

from reslab.report.html import without_folders


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("reslab report /home/me/runs/x --data photos", "reslab report x --data photos"),
        ("reslab report '/home/me/my photos/x' --data /a/b/c/", "reslab report x --data c"),
        ("reslab evaluate '/q r' --output out/page.html", "reslab evaluate 'q r' --output out/page.html"),
    ],
)
def test_a_command_on_a_page_names_no_folder_of_the_machine(command: str, shown: str) -> None:
    assert without_folders(command) == shown
