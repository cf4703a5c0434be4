"""Tables that commands write into README.md, between markers."""

from wiseft_nb.errors import WiseftError
from wiseft_nb.paths import ROOT

README = ROOT / "README.md"


def write_between(marker: str, lines: list[str]) -> None:
    """Put lines between ``<!-- marker -->`` and ``<!-- /marker -->``."""
    begin, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    before, found, rest = README.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise WiseftError(f"{README.name} lacks the lines {begin} and {end}: put them where the table belongs")
    README.write_text("\n".join([before + found, *lines, closed + after]), encoding="utf-8")
