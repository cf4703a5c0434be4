"""JupyterLab opens the course with its table of contents and asks nothing; a running server says so."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from jupyterlab.commands import get_app_dir

from wiseft_nb.errors import WiseftError
from wiseft_nb.make import lab
from wiseft_nb.paths import ROOT

PATIENCE = 240  # seconds; a busy machine starts JupyterLab in some ten


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The command as a student gives it, without a browser and with folders of its own for all that is written."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("home")
    environment = os.environ | {
        f"JUPYTER{name}_DIR": str(home / name.strip("_"))
        for name in ("_CONFIG", "_DATA", "_RUNTIME", "LAB_SETTINGS", "LAB_WORKSPACES")
    }
    options = ["--no-browser", f"--ServerApp.port={port}", "--IdentityProvider.token=", "--allow-root"]
    code = f"from pathlib import Path; from wiseft_nb.make import lab; lab.BUILD = Path({str(home)!r}); lab.main()"
    command = [sys.executable, "-c", code, *options]
    running = subprocess.Popen(command, cwd=home, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def get(path):
        for _ in range(PATIENCE):
            assert running.poll() is None, running.stderr.read().decode()[-2000:]
            try:
                with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=60) as answer:
                    return json.load(answer)
            except URLError:
                time.sleep(1)
        raise AssertionError("JupyterLab did not answer")

    yield get
    running.terminate()
    running.communicate(timeout=60)


def test_it_asks_for_no_news_and_no_updates(server):
    notification = server("lab/api/settings/@jupyterlab/apputils-extension:notification")
    defaults = {name: about["default"] for name, about in notification["schema"]["properties"].items()}
    assert defaults["fetchNews"] == "false" and defaults["checkForUpdates"] is False
    assert notification["raw"] == "{}"  # nothing was set for the user


def test_the_table_of_contents_is_open(server):
    layout = server("lab/api/workspaces/default")["data"]["layout-restorer:data"]["left"]
    assert layout["current"] == "@jupyterlab/toc:plugin" and not layout["collapsed"]
    about = server("lab/api/settings/@jupyterlab/toc-extension:registry")["schema"]["properties"]
    assert about["includeOutput"]["default"] is False
    scripts = [path.read_text(encoding="utf-8") for path in (Path(get_app_dir()) / "static").glob("*.js")]
    assert any(f'"{layout["current"]}"' in script for script in scripts), "JupyterLab calls it otherwise"


def test_the_notebooks_are_there(server):
    names = {entry["name"] for entry in server("api/contents/notebooks")["content"]}
    assert {"00_start_here.ipynb", "04_measure_robustness.ipynb"} <= names


def test_a_layout_that_a_student_changed_is_left_as_it_is(tmp_path):
    lab.prepare(tmp_path)
    (layout,) = (tmp_path / "workspaces").iterdir()
    layout.write_text(layout.read_text(encoding="utf-8").replace("toc:plugin", "else"), encoding="utf-8")
    changed = layout.read_text(encoding="utf-8")
    lab.prepare(tmp_path)
    assert layout.read_text(encoding="utf-8") == changed


def test_an_installed_package_has_no_notebooks_to_open(tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "ROOT", tmp_path)
    with pytest.raises(WiseftError, match="in a clone"):
        lab.main()


def test_what_it_writes_lies_inside_the_project(monkeypatch):
    told = []
    monkeypatch.setattr(lab.LabApp, "launch_instance", told.extend)
    monkeypatch.setattr(sys, "argv", ["lab", "--no-browser"])
    lab.main()
    folders = [option.partition("=")[2] for option in told if "_dir=" in option]
    assert len(folders) == 3 and all(Path(folder).is_relative_to(ROOT) for folder in folders)
    assert told[-1] == "--no-browser"
