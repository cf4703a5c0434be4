"""Two directives for the pages of the API: what a room of the package holds, and its public names."""

import importlib
import pkgutil

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import wiseft_nb

HIDDEN = ("wiseft_nb.course.exercises.nb_",)  # they hold the solutions


def modules_of(room: str) -> list[str]:
    """A room's modules, the room itself first."""
    home = importlib.import_module(f"wiseft_nb.{room}")
    below = pkgutil.walk_packages(home.__path__, f"{home.__name__}.") if hasattr(home, "__path__") else ()
    return [home.__name__, *(found.name for found in below if not found.name.startswith(HIDDEN))]


class Room(SphinxDirective):
    """``{room} engine``: every module of a room with what is public in it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A heading and an automodule for each."""
        lines = []
        for module in modules_of(self.arguments[0]):
            lines += [
                f".. rubric:: {module}",
                "",
                f".. automodule:: {module}",
                "   :members:",
                "   :ignore-module-all:",
                "",
            ]
        return parsed(self, lines)


class PublicNames(SphinxDirective):
    """``{public-names}``: what ``from wiseft_nb import *`` gives, by room, with the first line of each docstring."""

    def run(self) -> list[nodes.Node]:
        """A table for each room."""
        lines, rooms = [], {}
        for name in wiseft_nb.__all__:
            module = getattr(wiseft_nb, name).__module__
            rooms.setdefault(module.split(".")[1], []).append(f"{module}.{name}")
        for room, names in rooms.items():
            lines += [f".. rubric:: {room}", "", ".. autosummary::", "   :nosignatures:", ""]
            lines += [*(f"   {name}" for name in names), ""]
        return parsed(self, lines)


def parsed(directive: SphinxDirective, lines: list[str]) -> list[nodes.Node]:
    """Lines of reStructuredText as nodes."""
    return directive.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict:
    """As Sphinx wants it."""
    app.add_directive("room", Room)
    app.add_directive("public-names", PublicNames)
    return {"parallel_read_safe": True}
