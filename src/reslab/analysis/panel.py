"""Pictures side by side, each with a line of text under it."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_MARGIN = 8
_TEXT_SIZE = 14
_LINE = 22  # of text, in pixels
_PAPER, _INK = (255, 255, 255), (50, 50, 50)


def side_by_side(pictures: Sequence[tuple[Image.Image, str]]) -> Image.Image:
    """Draw pictures next to each other on white, each with its text under it.

    A text wider than its picture ends in an ellipsis. Letters that Pillow's font lacks become boxes.

    Args:
        pictures: Pictures of one size, each with its text.

    Returns:
        An RGB picture.
    """
    width, height = pictures[0][0].size
    size = (_MARGIN + len(pictures) * (width + _MARGIN), _MARGIN + height + _LINE + _MARGIN // 2)
    page = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(_TEXT_SIZE)
    for number, (picture, text) in enumerate(pictures):
        left = _MARGIN + number * (width + _MARGIN)
        page.paste(picture, (left, _MARGIN))
        middle = _MARGIN + height + _LINE // 2 + 2
        draw.text((left, middle), _fitted(text, width, font), _INK, font, anchor="lm")
    return page


def _fitted(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    line = " ".join(text.split())  # Pillow cannot measure a text with a line break
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip() + "…"
