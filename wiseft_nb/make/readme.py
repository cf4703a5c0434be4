"""Tables that commands write into README.md and other texts, between markers."""

from pathlib import Path

from wiseft_nb.errors import WiseftError
from wiseft_nb.paths import ROOT

README = ROOT / "README.md"


def write_between(marker: str, lines: list[str], path: Path | None = None) -> None:
    """Put lines between ``<!-- marker -->`` and ``<!-- /marker -->``, in the README or another text."""
    path = path or README
    begin, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise WiseftError(f"{path.name} lacks the lines {begin} and {end}: put them where the table belongs")
    path.write_text("\n".join([before + found, *lines, closed + after]), encoding="utf-8")
