"""WiSE-FT, runnable, teachable, checkable: the helper package behind the notebooks.

Data flows one way, and each module imports only from those above it: benchmarks, clip, zero_shot
(and checkpoint), fine_tune, interpolate, evaluate, sweep, robustness, plots, and last notebook.
"""

from wiseft_nb.benchmarks import Benchmark, ImageSet, load_benchmark, load_templates
from wiseft_nb.checkpoint import load_classifier, save_classifier
from wiseft_nb.clip import Clip, load_clip
from wiseft_nb.errors import FineTuneDiverged, WiseftError
from wiseft_nb.evaluate import Predictions, accuracy_interval, evaluate
from wiseft_nb.exercises import check
from wiseft_nb.fine_tune import FineTuneConfig, fine_tune
from wiseft_nb.interpolate import interpolate, wise_ft
from wiseft_nb.notebook import keep, show, start
from wiseft_nb.plots import plot_curves, plot_history, plot_images, plot_robustness
from wiseft_nb.robustness import Baseline, fit_baseline, load_standard_models
from wiseft_nb.sweep import mean_of_shifts, sweep
from wiseft_nb.zero_shot import ClassificationHead, ImageClassifier, zero_shot_classifier, zero_shot_head

__all__ = [
    "Baseline",
    "Benchmark",
    "ClassificationHead",
    "Clip",
    "FineTuneConfig",
    "FineTuneDiverged",
    "ImageClassifier",
    "ImageSet",
    "Predictions",
    "WiseftError",
    "accuracy_interval",
    "check",
    "evaluate",
    "fine_tune",
    "fit_baseline",
    "interpolate",
    "keep",
    "load_benchmark",
    "load_classifier",
    "load_clip",
    "load_standard_models",
    "load_templates",
    "mean_of_shifts",
    "plot_curves",
    "plot_history",
    "plot_images",
    "plot_robustness",
    "save_classifier",
    "show",
    "start",
    "sweep",
    "wise_ft",
    "zero_shot_classifier",
    "zero_shot_head",
]
