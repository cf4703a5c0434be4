"""WiSE-FT, runnable, teachable, checkable: the helper package behind the notebooks.

The pipeline of the course stands at the top: ``zero_shot``, ``fine_tune``, ``interpolate``, ``evaluate``,
``sweep``, ``choose_alpha``, ``classify``. Names are loaded when they are first asked for: a table or a figure needs no torch.
"""

import sys
from importlib import import_module
from types import ModuleType

_ROOMS = {
    "errors": ("FineTuneDiverged", "WiseftError"),
    "intervals": ("accuracy_interval",),
    "recipes": ("FineTuneConfig", "recipe_table"),
    "benchmarks": ("Benchmark", "ImageSet", "load_benchmark", "load_templates"),
    "engine.cache": ("clear_cache",),
    "engine.compute": ("Compute",),
    "models.classifier": ("ClassificationHead", "ImageClassifier"),
    "models.clip": ("Clip", "load_clip"),
    "zero_shot": ("zero_shot_classifier", "zero_shot_head"),
    "fine_tune": ("fine_tune",),
    "interpolate": ("interpolate", "interpolate_into", "wise_ft"),
    "evaluate": ("Predictions", "evaluate"),
    "compare": ("Paired", "paired", "paired_table"),
    "sweep": ("sweep",),
    "classify": ("classify",),
    "weights.checkpoint": ("load_classifier", "save_classifier"),
    "weights.exchange": ("export_to_open_clip", "import_classifier"),
    "weights.onnx": ("export_to_onnx",),
    "robustness": (
        "Baseline",
        "effective_robustness",
        "fit_baseline",
        "fit_table",
        "load_standard_models",
        "mean_of_shifts",
        "relative_robustness",
        "standard_by_testbed_rule",
    ),
    "robustness.published": ("own_model", "published", "published_tables"),
    "analyse.chord": ("chord_dip",),
    "choose_alpha": ("choose_alpha",),
    "plots": (
        "add_curve",
        "add_model",
        "plot_curves",
        "plot_history",
        "plot_images",
        "plot_models",
        "plot_robustness",
        "save_figure",
    ),
    "plots.explorer": ("robustness_explorer",),
    "course.notebook": ("keep", "show", "start"),
    "course.exercises": ("check",),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


class _Package(ModuleType):
    """Importing ``wiseft_nb.sweep`` would set the module in the place of the function of that name."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
