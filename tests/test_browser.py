"""In a real browser: notebooks in JupyterLab and pages of the site, by mouse and by keyboard, and what axe says of them.

``WISEFT_NB_BROWSER=1`` makes a failure of what would be skipped. A test that fails leaves a picture in
``build/screenshots``. Nothing is asked of the network.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from types import SimpleNamespace

import nbformat
import pytest

from wiseft_nb.paths import BUILD, ROOT
from wiseft_nb.plots.explorer import FULL, SUBSET

QUIET = "--no-sandbox --disable-gpu --disable-background-networking --no-first-run --disable-sync"
WAIT = int(os.environ.get("WISEFT_NB_BROWSER_WAIT", "300")) * 1000
LOCAL = ("http://127.0.0.1", "ws://127.0.0.1", "file:", "data:", "blob:")
# Whole cells by their ids, or by what they hold, in place of those that take long
TABLE = """
import copy
import pandas as pd
from wiseft_nb.paths import DATA
from wiseft_nb.robustness import by_seed
benchmark = load_benchmark("digits")
zero_shot = zero_shot_classifier(load_clip("digits-rn"), benchmark)
fine_tuned = copy.deepcopy(zero_shot)
table = pd.read_csv(DATA / "results" / "digits.csv").query("seed == 0")
curve = by_seed(table, benchmark.groups).loc[0]
alphas = tuple(curve.index)
"""
MODELS = """
import pandas as pd
import torch
from wiseft_nb import load_benchmark, load_clip, zero_shot_classifier
from wiseft_nb.plots.drawing import drawing_pad
benchmark = load_benchmark("digits")
zero_shot = zero_shot_classifier(load_clip("digits-rn"), benchmark)
models = dict.fromkeys(("zero-shot", "alpha 0.5", "fine-tuned"), zero_shot)
"""


def missing(reason):
    (pytest.fail if os.environ.get("WISEFT_NB_BROWSER") else pytest.skip)(reason)


@pytest.fixture(scope="module")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("no playwright")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not chromium:
        missing("no browser")
    with sync_playwright() as playwright:
        arguments = [*QUIET.split(), "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, request):
    """A page without a network; ``page.refused`` lists what it asked of one."""
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    page.set_default_timeout(WAIT)
    page.refused = []

    def guard(route):
        if route.request.url.startswith(LOCAL):
            route.continue_()
        else:
            page.refused.append(route.request.url)
            route.abort()

    page.route("**/*", guard)
    yield page
    if getattr(request.node, "failed", False):
        folder = BUILD / "screenshots"
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{request.node.name}.png")
    page.close()


# ----------------------------------------------------------------------------------- JupyterLab


@pytest.fixture(scope="module")
def lab(browser, tmp_path_factory):
    """JupyterLab in folders of its own on a free port: ``folder`` and ``address``."""
    own = tmp_path_factory.mktemp("lab")
    folder, settings = own / "notebooks", own / "settings" / "@jupyterlab" / "notebook-extension"
    for made in (folder, settings):
        made.mkdir(parents=True)
    # every cell is laid out, also what is not on screen
    (settings / "tracker.jupyterlab-settings").write_text(json.dumps({"windowingMode": "none"}), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--port={port}", "--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"]
    options += ["--LabApp.news_url=None", "--LabApp.expose_app_in_browser=True"]
    places = {name: str(own / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    places |= {"JUPYTERLAB_SETTINGS_DIR": str(own / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(own / "workspaces")}
    places["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    places["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--ip=127.0.0.1", "--allow-root", *options],
        env=os.environ | places,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/api", timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        else:
            pytest.fail("JupyterLab did not answer within two minutes")
        yield SimpleNamespace(folder=folder, address=address)
    finally:
        server.terminate()
        server.wait(30)


def notebook(stem):
    return nbformat.read(ROOT / "notebooks" / f"{stem}.ipynb", as_version=4)


def run(page, lab, name, cells):
    """Write a notebook without outputs, open it, run all of it, and wait until every cell has run without an error."""
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
    for cell in cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), lab.folder / f"{name}.ipynb")
    page.goto(f"{lab.address}/lab/tree/{name}.ipynb?reset")
    page.wait_for_selector(".jp-Notebook")
    page.evaluate(
        """async () => {
            const panel = window.jupyterapp.shell.currentWidget;
            await panel.context.ready;
            await panel.sessionContext.ready;  // else it would ask for a kernel
            window.jupyterapp.commands.execute('notebook:run-all-cells');
        }"""
    )
    page.wait_for_function(
        """() => {
            if (document.querySelector('[data-mime-type="application/vnd.jupyter.error"]')) return true;
            const all = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')].filter(cell =>
                cell.querySelector('.cm-content').textContent.trim());
            return all.length && all.every(cell =>
                /\\[\\d+\\]/.test(cell.querySelector('.jp-InputPrompt').textContent));
        }""",
        timeout=WAIT,
    )
    errors = page.locator('[data-mime-type="application/vnd.jupyter.error"]').all_text_contents()
    assert not errors, errors[0][-1500:]


def until_changed(page, selector, before):
    """The text at a place once it differs from what it was."""
    page.wait_for_function(
        "([place, before]) => { const at = document.querySelector(place); return at && at.textContent != before }",
        arg=[selector, before],
    )
    return page.locator(selector).first.text_content()


def move_slider(page, wanted=None):
    """By keyboard and by mouse: readout, picture, caption and alternative text follow, each time."""
    handle, view = ".jp-OutputArea .noUi-handle", ".jp-OutputArea .widget-html-content p:last-child"
    page.wait_for_selector(handle)
    picture = page.locator(".jp-OutputArea .widget-html-content img").last
    seen = [(page.locator(view).last.text_content(), picture.get_attribute("src"))]
    assert page.locator(handle).get_attribute("role") == "slider"

    def follow():
        page.wait_for_function(
            "([place, before]) => [...document.querySelectorAll(place)].at(-1).textContent != before",
            arg=[view, seen[-1][0]],
            timeout=5000,
        )
        seen.append((page.locator(view).last.text_content(), picture.get_attribute("src")))
        assert picture.get_attribute("alt") == seen[-1][0] and seen[-1][1] != seen[-2][1]

    page.locator(handle).focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
        follow()
    assert seen[-1] == seen[-3], "back where it was one step before"
    box = page.locator(".jp-OutputArea .noUi-target").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    follow()
    return [caption for caption, _ in seen]


def test_the_course_begins_with_a_slider_before_any_model(page, lab):
    cells = notebook("00_start_here").cells
    end = next(i for i, cell in enumerate(cells) if cell.cell_type == "code" and "alpha_slider(" in cell.source)
    assert not any("zero_shot_classifier(" in cell.source for cell in cells[: end + 1])
    run(page, lab, "first", cells[: end + 1])
    captions = move_slider(page)
    assert captions[0].startswith("alpha 0, ") and captions[-1].startswith("alpha 1, ")


def test_the_slider_of_the_reference(page, lab):
    cells = notebook("R1_reference").cells
    (long,) = (cell for cell in cells if "fine_tune(zero_shot" in cell.source)
    long.source = TABLE
    cells = [cell for cell in cells if not {"parameters"} & set(cell.metadata.get("tags", ()))]
    cells = [cell for cell in cells if "explorer.slider.value" not in cell.source]
    run(page, lab, "reference", cells)
    assert move_slider(page)[-1].startswith("alpha 1:")


def test_a_digit_is_drawn_with_the_mouse_and_read(page, lab):
    cells = notebook("03_interpolate").cells
    (pad,) = (cell for cell in cells if "drawing_pad(read)" in cell.source)
    run(page, lab, "draw", [nbformat.v4.new_code_cell(MODELS), pad])
    view = ".jp-OutputArea .widget-html-content p:last-child"
    canvas = page.locator(".jp-OutputArea canvas")
    canvas.wait_for()
    inked = "at => { const all = at.getContext('2d').getImageData(0, 0, 200, 200).data; return all.some(x => x) }"
    example = page.locator(view).last.text_content()
    assert "zero-shot says 7" in example
    captions = move_slider(page)
    page.locator(".jp-OutputArea button", has_text="clear").click()
    page.wait_for_selector("text=Nothing is drawn")
    page.wait_for_function(f"at => !({inked})(at)", arg=canvas.element_handle())
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 100, box["y"] + 180, steps=12)
    page.mouse.up()
    page.wait_for_function(
        "place => /zero-shot says 1/.test([...document.querySelectorAll(place)].at(-1).textContent)", arg=view
    )
    assert canvas.evaluate(inked) and page.locator(view).last.text_content() not in captions


def test_the_menus_of_todays_models(page, lab):
    """All of notebook 05; menus by mouse and by keyboard, names on hovering."""
    run(page, lab, "paper", notebook("05_redraw_the_paper").cells)
    plot = page.locator(".jp-OutputArea svg[role=img]")
    plot.wait_for()
    menus = page.locator(".jp-OutputArea select")
    assert "ImageNet-A" in plot.get_attribute("aria-label")
    names = plot.locator("use title").all_text_contents()
    assert any(name.startswith("resnet50, standard training") for name in names)

    menus.nth(0).focus()
    page.keyboard.press("Home")  # JupyterLab keeps the bare arrow keys to itself: they move between cells
    page.wait_for_selector('svg[aria-label*="Accuracy on mean of shifts"]')
    menus.nth(0).select_option("ImageNet-R")
    page.wait_for_selector('svg[aria-label*="Accuracy on ImageNet-R"]')
    menus.nth(1).select_option("logit")
    page.wait_for_selector('svg[aria-label*="logit axes"]')
    menus.nth(2).select_option(SUBSET)
    page.wait_for_selector('svg[aria-label*="classes of ImageNet-R"]')
    menus.nth(2).select_option(FULL)
    page.wait_for_selector('svg[aria-label*="against ImageNet, logit"]')
    menus.nth(3).select_option("standard models")
    page.wait_for_selector('g[data-group="zero-shot CLIP models"]', state="hidden")
    point = page.locator('g[data-group="standard models"] use').first
    point.hover(force=True)
    assert "%" in point.locator("title").text_content()


# ------------------------------------------------------------------------------------- the site


def moving(site):
    """Pages with a slider or a menu that works without a kernel."""
    return [path for path in sorted((site / "notebooks").glob("*.html")) if "data-captions" in path.read_text("utf-8")]


def test_sliders_and_menus_of_the_site_take_the_keyboard(page, site):
    paths = moving(site)
    assert {"00", "01", "03", "05", "06", "08", "R1"} <= {path.name.split("_")[0] for path in paths}
    for path in paths:
        page.goto(path.as_uri())
        for figure in page.locator("figure[data-captions]").all():
            captions = json.loads(figure.get_attribute("data-captions"))
            control, picture = figure.locator("input, select"), figure.locator("img")
            said = figure.locator("figcaption").text_content()
            place = captions.index(said)
            control.focus()
            page.keyboard.press(
                "ArrowDown" if place == 0 and control.evaluate("at => at.tagName") == "SELECT" else "Home"
            )
            page.keyboard.press("End")
            assert figure.locator("figcaption").text_content() == picture.get_attribute("alt") == captions[-1], (
                path.name
            )
            assert control.get_attribute("aria-valuetext") == figure.get_attribute("data-names").split("|")[-1]
            left = picture.evaluate(
                "at => at.getBoundingClientRect().left - at.parentElement.getBoundingClientRect().left"
            )
            width = picture.evaluate("at => at.parentElement.getBoundingClientRect().width")
            assert left == pytest.approx(-width * (len(captions) - 1), abs=1), "the last frame is on screen"
    assert not page.refused


# --------------------------------------------------------------------------------- accessibility

# Not ours to mend: ipywidgets gives the handle of a slider no name of its own; its label stands beside it as text
NOT_OURS = [".noUi-handle"]


def violations(page, within, looked_for="color-contrast", without=()):
    """What axe finds to be serious or critical, contrast too, or wrong in the order of headings, and the first place."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        missing("no axe")
    found = Axe().run(page, context={"include": [[within]], "exclude": [[place] for place in without]}).response
    looked = {one["id"] for one in found["passes"] + found["violations"]}
    assert looked_for in looked, "it has found nothing to look at"
    return [
        (one["id"], one["help"], one["nodes"][0]["html"][:200])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical") or one["id"] == "heading-order"
    ]


@pytest.mark.parametrize("name", ["docs/index", "docs/glossary", "notebooks/00_start_here", "notebooks/03_interpolate"])
def test_pages_of_the_site_are_accessible(page, site, name):
    page.goto((site / f"{name}.html").as_uri())
    assert not violations(page, "article")


def test_a_notebook_is_accessible_in_jupyterlab(page, lab):
    cells = notebook("03_interpolate").cells
    (pad,) = (cell for cell in cells if "drawing_pad(read)" in cell.source)
    text = [cell for cell in cells if cell.cell_type == "markdown"][:2]
    run(page, lab, "axe", [*text, nbformat.v4.new_code_cell(MODELS), pad])
    page.wait_for_selector(".jp-OutputArea canvas")
    assert not violations(page, ".jp-OutputArea", "image-alt", NOT_OURS) + violations(
        page, ".jp-RenderedMarkdown", "heading-order"
    )
