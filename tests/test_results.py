"""What README and data/results state in words is what the committed tables hold."""

import re

import pandas as pd
import pytest

from wiseft_nb.make.readme import README
from wiseft_nb.make.results import RESULTS, readme_rows
from wiseft_nb.make.results import headline as made_headline

BETTER = "alpha 0.5 above the better endpoint, mean of shifts"
BEST = "best point within 1.5 points of the reference, above fine-tuned, mean of shifts"


@pytest.fixture(scope="module")
def headline():
    return pd.read_csv(RESULTS / "headline.csv").set_index("figure")


def test_the_readme_shows_the_headline(headline, benchmark):
    inside = README.read_text(encoding="utf-8").partition("<!-- headline -->\n")[2].partition("\n<!-- /headline -->")[0]
    assert inside.splitlines() == readme_rows(headline.reset_index(), benchmark)


def test_the_headline_follows_from_the_sweeps(headline, benchmark):
    """Without training: ``python -m wiseft_nb.make.results --again`` gives it again."""
    sweeps, prompts = (pd.read_csv(RESULTS / f"{name}.csv") for name in ("digits", "prompts"))
    made = made_headline(sweeps, prompts, benchmark).set_index("figure")
    pd.testing.assert_frame_equal(made, headline, atol=1e-6)


SENTENCES = {  # figure, its sign in the sentence -> how the README goes on behind the numbers
    ("fine-tuned minus zero-shot, print", -1): "fine-tuning loses {} points ({} to {} over the seeds)",
    ("alpha 0.5 minus zero-shot, print", -1): "stays {} points ({} to {}) below zero-shot",
    ("alpha 0.5 minus zero-shot, handwriting", 1): "{} points ({} to {}) above zero-shot",
    ("alpha 0.5 minus fine-tuned, handwriting", 1): "{} points ({} to {}) above fine-tuned",
    ("alpha 0.5 minus fine-tuned, reference", -1): "it gives up {} points ({} to {})",
    (BETTER, 1): "it stands {} points ({} to {}) above the better end",
}


@pytest.mark.parametrize(("figure", "sign"), SENTENCES)
def test_the_readme_s_sentences_are_differences_within_a_seed(headline, figure, sign):
    row = 100 * sign * headline.loc[figure]
    low, high = sorted((row["lowest"], row["highest"]))
    said = SENTENCES[figure, sign].format(*(f"{value:.1f}" for value in (row["median"], low, high)))
    assert said in " ".join(README.read_text(encoding="utf-8").split())


def test_the_readme_s_gain_at_the_smaller_learning_rate():
    rates = pd.read_csv(RESULTS / "learning_rates.csv").query("dataset == 'mean of shifts' and lr == 0.001")
    along = 100 * rates.set_index("alpha").accuracy
    gain = along[0.5] - max(along[0.0], along[1.0])
    assert f"alpha 0.5 gains {gain:.1f} points over fine-tuned" in " ".join(README.read_text(encoding="utf-8").split())


@pytest.mark.parametrize("figure", [BETTER, BEST])
def test_what_falls_short_is_stated_as_measured(headline, figure):
    row = 100 * headline.loc[figure]
    stated = f"{row['median']:.1f} ({row['lowest']:.1f} to {row['highest']:.1f})"
    assert stated in (RESULTS / "README.md").read_text(encoding="utf-8")


def test_learning_rates_follow_their_rules():
    """The largest within one standard error of the best; the linear classifier's the best, of equal ones the smallest."""
    rates = pd.read_csv(RESULTS / "learning_rates.csv").drop_duplicates("lr").set_index("lr")
    best = rates.mean_val_accuracy.max()
    error = (best * (1 - best) / 500) ** 0.5
    assert list(rates.index[rates.chosen]) == [rates.index[rates.mean_val_accuracy >= best - error].max()]
    linear = pd.read_csv(RESULTS / "linear_rates.csv").set_index("lr")
    assert list(linear.index[linear.chosen]) == [linear.mean_val_accuracy.idxmax()]


def test_r_squared_is_as_good_as_stated(headline):
    lines = headline.filter(like="R² of the line", axis=0)["median"]
    (row,) = re.findall(
        r"^\| R² of the logit line.*$", (RESULTS / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(re.findall(r"`(\w+)`", row)) == {name.split(", ")[1] for name in lines.index[lines >= 0.7]}


def test_how_far_numbers_move_is_stated_as_measured():
    """Between threads and processors, and between seeds; and what is said to stay did."""
    variation = pd.read_csv(RESULTS / "variation.csv").query("dataset == 'mean of shifts'")
    seeds = pd.read_csv(RESULTS / "digits.csv").query("dataset == 'mean of shifts'")
    spread = [100 * t.groupby("alpha").accuracy.agg(lambda a: a.max() - a.min()) for t in (variation, seeds)]
    said = (
        f"mean of shifts by up to {spread[0][1.0]:.1f} points, and that of alpha 0.5 by up to {spread[0][0.5]:.1f}; "
        f"seeds move them by {spread[1][1.0]:.1f} and {spread[1][0.5]:.1f}"
    )
    assert said in " ".join(README.read_text(encoding="utf-8").split())
    everything = pd.read_csv(RESULTS / "variation.csv")
    for _, run in everything.groupby(["setting", "seed"]):
        ends = run.pivot(index="alpha", columns="dataset", values="accuracy")
        assert ends["print"][0] > ends["print"][0.5] > ends["print"][1]
        assert ends["handwriting"].idxmax() == ends["mean of shifts"].idxmax() == 0.5
