"""The site builds without a warning; its links lead somewhere, its figures have their texts, its pages need no network."""

from collections import Counter
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from test_rooms import ROOMS

from wiseft_nb.paths import ROOT

pytest.importorskip("myst_nb", reason="needs the extra 'book'")


class Page(HTMLParser):
    """Its ids, its links, its pictures, and what it loads."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.pictures, self.loaded = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if attrs.get("id") else []
        self.links += [attrs["href"]] if tag == "a" and attrs.get("href") else []
        self.pictures += [attrs] if tag == "img" else []
        self.loaded += [attrs[key] for key in ("src", "href") if tag in ("script", "link") and attrs.get(key)]


@pytest.fixture(scope="module")
def pages(site):
    return {
        path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if "_static" not in path.parts
    }


def test_there_is_a_page_for_each_notebook_and_each_links_where_it_can_be_run(pages):
    found = {path.stem: page for path, page in pages.items()}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        runs = [link for link in found[path.stem].links if f"notebooks/{path.name}" in link and "://" in link]
        assert {"mybinder.org", "colab.research.google.com"} <= {link.split("/")[2] for link in runs}, path.name


def test_internal_links_lead_to_a_page_and_to_a_place_on_it(pages):
    wrong = []
    for path, page in pages.items():
        for link in page.links:
            target, _, place = unquote(link).partition("#")
            if "://" in target or target.startswith("mailto:"):
                continue
            to = (path.parent / target).resolve() if target else path
            if not to.exists() or (place and to in pages and place not in pages[to].ids):
                wrong.append((path.name, link))
    assert not wrong


def test_pictures_of_notebooks_have_alternative_text(pages):
    mute = [path.name for path, page in pages.items() for img in page.pictures if not img.get("alt")]
    assert not mute
    assert sum(len(page.pictures) for page in pages.values()) > 40


def test_no_page_loads_anything_from_elsewhere(pages):
    loaded = {src for page in pages.values() for src in page.loaded if "canonical" not in src}
    loaded |= {img.get("src", "") for page in pages.values() for img in page.pictures}
    assert not [src for src in loaded if "//" in src and not src.startswith("data:")]


def test_no_id_stands_twice_on_a_notebooks_page(pages):
    for path, page in pages.items():
        if path.parent.name == "notebooks":
            assert not [name for name, times in Counter(page.ids).items() if times > 1], path.name


def test_a_page_has_one_search_field(site):
    text = (site / "notebooks" / "03_interpolate.html").read_text(encoding="utf-8")
    assert text.count("search-button-field") == 1


def test_each_room_has_its_page():
    """A new room wants one: docs/api/NAME.rst, and a line in its index."""
    listed = (ROOT / "docs" / "api" / "index.rst").read_text(encoding="utf-8").split()
    for room in set(ROOMS) - {"__main__"}:
        assert room in listed and f".. room:: {room}" in (ROOT / "docs" / "api" / f"{room}.rst").read_text(
            encoding="utf-8"
        )
