"""``make benchmark``: what it compares gives the same answers, and the README says what was measured."""

import json
import math
import statistics

import pytest

from wiseft_nb import WiseftError
from wiseft_nb.make import comparisons, timing
from wiseft_nb.make.readme import README, write_between
from wiseft_nb.make.timing import COMPARISONS, RESULT, main, measured, tables


def test_a_quick_run_measures_what_it_names_and_keeps_the_rest(tmp_path):
    out = tmp_path / "benchmark.json"
    before = json.loads(RESULT.read_text())["head"]
    out.write_text(json.dumps({"head": before}))
    names = ["sweep", "linear", "fine_tune"]
    main(["--quick", "--out", str(out), "--only", *names, "images"])
    results = json.loads(out.read_text())
    assert results["head"] == before
    for row in (results[name] for name in names):
        ours, other = row["seconds"].values()
        cost = row["measure"] == "our time by theirs"
        ratios = [a / b if cost else b / a for a, b in zip(ours, other, strict=True)]
        assert len(ratios) >= 3 and min(ratios) > 0 and math.isfinite(max(ratios))
        assert row["ratio"] == statistics.median(ratios)
        assert (row["lowest"], row["highest"]) == (min(ratios), max(ratios))
        assert row["met"] == (row["ratio"] <= row["wanted"] if cost else row["ratio"] >= row["wanted"])
    assert [row["size"] for row in results["images"]] == [10, 20, 40]


def test_sides_are_timed_in_turns():
    """So that a machine that slows down slows down both."""
    calls = []
    seconds = measured({"ours": lambda: calls.append("ours"), "other": lambda: calls.append("other")}, 3)
    assert calls == ["ours", "other"] * 3 and [len(times) for times in seconds.values()] == [3, 3]


def test_memory_of_a_sweep_is_that_of_its_process():
    few, many = (row["mebibytes"] for row in timing.memory(comparisons.QUICK))
    assert few > 100 and many < 1.2 * few


def test_a_head_that_differs_is_not_timed(monkeypatch, clip, tmp_path):
    monkeypatch.setattr(comparisons, "random_clip", lambda architecture: clip)
    sides = comparisons.head(comparisons.QUICK, tmp_path)
    assert list(sides) == ["ours", "open_clip"]
    honest = comparisons.zero_shot_head
    monkeypatch.setattr(comparisons, "zero_shot_head", lambda *args: 1.001 * honest(*args))
    with pytest.raises(WiseftError, match="zero_shot_head"):
        comparisons.head(comparisons.QUICK, tmp_path)


def test_a_sweep_that_counts_otherwise_is_not_timed(monkeypatch, tmp_path):
    honest = comparisons.naive_sweep
    monkeypatch.setattr(comparisons, "naive_sweep", lambda *args: [a + 0.05 for a in honest(*args)])
    with pytest.raises(WiseftError, match="sweep"):
        comparisons.sweep_files(comparisons.QUICK, tmp_path)


def test_a_quick_run_never_replaces_what_was_measured():
    with pytest.raises(WiseftError, match="--out"):
        main(["--quick"])


def test_the_readme_says_what_was_measured():
    results = json.loads(RESULT.read_text())
    assert set(COMPARISONS) <= set(results)
    inside = README.read_text().partition("<!-- benchmark -->\n")[2].partition("\n<!-- /benchmark -->")[0]
    assert inside.splitlines() == tables(results)


def test_a_table_without_its_markers_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("wiseft_nb.make.readme.README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text("<!-- /here --> <!-- here -->")
    with pytest.raises(WiseftError, match="lacks"):
        write_between("here", ["| a |"])
    assert (tmp_path / "README.md").read_text() == "<!-- /here --> <!-- here -->"
