"""Open the course in JupyterLab, with the table of contents beside it and no question asked: ``python -m wiseft_nb.make.lab``.

Settings and layout lie under ``build/lab``: nothing outside the project is written or changed, and settings of your own
come after them. Arguments are handed to JupyterLab, as in ``python -m wiseft_nb.make.lab --no-browser``.
"""

import json
import sys
from pathlib import Path

from jupyterlab.labapp import LabApp
from jupyterlab_server.workspaces_handler import WorkspacesManager

from wiseft_nb.errors import WiseftError
from wiseft_nb.paths import BUILD, ROOT

SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/toc-extension:registry": {"maximalDepth": 3, "includeOutput": False},
}
LAYOUT = {  # as JupyterLab writes it: at the left the table of contents is open
    "left": {"collapsed": False, "visible": True, "current": "@jupyterlab/toc:plugin"},
    "right": {"collapsed": True, "visible": True},
    "relativeSizes": [0.2, 0.8, 0],
}
WORKSPACE = "default"  # what opens at an address that names none


def write_settings(folder: Path) -> Path:
    """What takes the place of JupyterLab's defaults, where it looks for them.

    For all who share an environment that is its folder ``share/jupyter/lab/settings``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "overrides.json").write_text(json.dumps(SETTINGS, indent=1), encoding="utf-8")
    return folder


def prepare(folder: Path) -> list[str]:
    """Write settings, and the layout where there is none yet; what JupyterLab is to be told of them."""
    settings, layouts = write_settings(folder / "settings"), WorkspacesManager(str(folder / "workspaces"))
    if not layouts.list_workspaces():  # else a student moved something, and finds it there again
        workspace = {"data": {"layout-restorer:data": LAYOUT}, "metadata": {"id": WORKSPACE}}
        layouts.save(WORKSPACE, json.dumps(workspace))
    return [
        f"--LabApp.app_settings_dir={settings}",
        f"--LabApp.workspaces_dir={layouts.workspaces_dir}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]


def main() -> None:
    """See the module's first lines."""
    first = ROOT / "notebooks" / "00_start_here.ipynb"
    if not first.exists():
        raise WiseftError("the notebooks are not part of an installed package: open them in a clone or a handout")
    LabApp.launch_instance([str(first), f"--ServerApp.root_dir={ROOT}", *prepare(BUILD / "lab"), *sys.argv[1:]])


if __name__ == "__main__":
    main()
