"""WiSE-FT, runnable, teachable, checkable: the helper package behind the notebooks.

Data flows one way, and each module imports only from those above it: processes, metrics, benchmarks, clip, zero_shot
(and checkpoint, exchange, onnx_export), cache, compute and batches, recipes and fine_tune, interpolate, evaluate and
classify, sweep, robustness, published, plots, widgets and explorer, exercises, and last notebook.
"""

from wiseft_nb.benchmarks import Benchmark, ImageSet, load_benchmark, load_templates
from wiseft_nb.cache import clear_cache
from wiseft_nb.checkpoint import load_classifier, save_classifier
from wiseft_nb.classify import classify
from wiseft_nb.clip import Clip, load_clip
from wiseft_nb.compute import Compute
from wiseft_nb.errors import FineTuneDiverged, WiseftError
from wiseft_nb.evaluate import Predictions, evaluate
from wiseft_nb.exchange import export_to_open_clip, import_classifier
from wiseft_nb.exercises import check
from wiseft_nb.explorer import robustness_explorer
from wiseft_nb.fine_tune import fine_tune
from wiseft_nb.interpolate import interpolate, wise_ft
from wiseft_nb.metrics import accuracy_interval
from wiseft_nb.notebook import keep, show, start
from wiseft_nb.onnx_export import export_to_onnx
from wiseft_nb.plots import (
    add_curve,
    add_model,
    plot_curves,
    plot_history,
    plot_images,
    plot_models,
    plot_robustness,
    save_figure,
)
from wiseft_nb.published import own_model, published, published_tables
from wiseft_nb.recipes import FineTuneConfig, recipe_table
from wiseft_nb.robustness import (
    Baseline,
    effective_robustness,
    fit_baseline,
    fit_table,
    load_standard_models,
    relative_robustness,
    standard_by_testbed_rule,
)
from wiseft_nb.sweep import mean_of_shifts, sweep
from wiseft_nb.zero_shot import ClassificationHead, ImageClassifier, zero_shot_classifier, zero_shot_head

__all__ = [
    "Baseline",
    "Benchmark",
    "ClassificationHead",
    "Clip",
    "Compute",
    "FineTuneConfig",
    "FineTuneDiverged",
    "ImageClassifier",
    "ImageSet",
    "Predictions",
    "WiseftError",
    "accuracy_interval",
    "add_curve",
    "add_model",
    "check",
    "classify",
    "clear_cache",
    "effective_robustness",
    "evaluate",
    "export_to_onnx",
    "export_to_open_clip",
    "fine_tune",
    "fit_baseline",
    "fit_table",
    "import_classifier",
    "interpolate",
    "keep",
    "load_benchmark",
    "load_classifier",
    "load_clip",
    "load_standard_models",
    "load_templates",
    "mean_of_shifts",
    "own_model",
    "plot_curves",
    "plot_history",
    "plot_images",
    "plot_models",
    "plot_robustness",
    "published",
    "published_tables",
    "recipe_table",
    "relative_robustness",
    "robustness_explorer",
    "save_classifier",
    "save_figure",
    "show",
    "standard_by_testbed_rule",
    "start",
    "sweep",
    "wise_ft",
    "zero_shot_classifier",
    "zero_shot_head",
]
