"""``make benchmark``: what it compares gives the same answers, and the README says what was measured."""

import json
import math
import statistics
import subprocess
import sys

import pytest
from PIL import Image

from wiseft_nb import WiseftError
from wiseft_nb.make import comparisons, costs, samples
from wiseft_nb.make.readme import README, write_between
from wiseft_nb.make.samples import QUICK
from wiseft_nb.make.timing import COMPARISONS, KNOWN, RESULT, main, measured, tables
from wiseft_nb.paths import ROOT


def test_a_quick_run_measures_what_it_names_and_keeps_the_rest(tmp_path):
    out = tmp_path / "benchmark.json"
    before = json.loads(RESULT.read_text())["head"]
    out.write_text(json.dumps({"head": before, "what is measured no more": []}))
    names = ["sweep, memory, 0 workers, 1 threads", "linear", "fine_tune, 0 workers"]
    main(["--quick", "--out", str(out), "--only", *names, "images", "cost, h"])
    results = json.loads(out.read_text())
    assert set(results) == {"head", *names, "images", "cost, hashing", "versions", "threads"}
    assert results["head"] == before
    for row in (results[name] for name in names):
        ours, other = row["seconds"].values()
        cost = row["measure"] == "our time by theirs"
        ratios = [a / b if cost else b / a for a, b in zip(ours, other, strict=True)]
        assert min(ratios) > 0 and math.isfinite(max(ratios))
        assert row["ratio"] == statistics.median(ratios)
        assert (row["lowest"], row["highest"]) == (min(ratios), max(ratios))
        assert row["met"] == (row["ratio"] <= row["wanted"] if cost else row["ratio"] >= row["wanted"])
    assert [row["size"] for row in results["images"]] == [10, 20, 40]
    assert 0 < results["cost, hashing"]["median"] and len(tables(results)) == 2 + 4 + 3 + 1 + 3 + 1


def test_every_sweep_says_what_it_is_of():
    """A ratio without images, workers and threads says nothing."""
    rows = {(c.what, c.against) for name, c in COMPARISONS.items() if name.startswith("sweep")}
    assert len(rows) == 3 * 2 * 2
    assert all("JPEG" in what or "memory" in what for what, _ in rows) and all("thread" in what for what, _ in rows)
    assert {against.rpartition(" with ")[2] for _, against in rows} == {"0 workers", "2 workers"}


def test_sides_are_timed_in_turns():
    """So that a machine that slows down slows down both."""
    calls = []
    seconds = measured({"ours": lambda: calls.append("ours") or 1, "other": lambda: calls.append("other") or 1}, 3)
    assert calls == ["ours", "other"] * 3 and [len(times) for times in seconds.values()] == [3, 3]


@pytest.mark.parametrize("answer", [1.1, [1.0, 1.0]])
def test_ways_that_answer_otherwise_are_not_compared(answer):
    assert measured({"ours": lambda: 1.0, "other": lambda: 1.05}, 1, margin=0.051)
    with pytest.raises(WiseftError, match="two ways give two answers"):
        measured({"ours": lambda: 1.0, "other": lambda: answer}, 1, margin=0.051)


@pytest.mark.parametrize("kind", ["photographs", "thumbnails", "memory"])
def test_a_sweep_counts_as_the_reference_procedure_does(kind, tmp_path):
    """To the last image, and both read the same images."""
    ours, other = (side() for side in comparisons.sweep_of(kind, 0)(QUICK, tmp_path).values())
    assert ours.equals(other) and len(ours) == QUICK.alphas * (12 if kind == "memory" else 1)


def test_photographs_are_the_same_every_time(tmp_path):
    first, again = (samples.photograph_files(tmp_path / name, 10, 50, 40) for name in "ab")
    paths = [path.relative_to(first) for path in sorted(first.rglob("*.jpg"))]
    assert len(paths) == 10 and all((first / path).read_bytes() == (again / path).read_bytes() for path in paths)
    assert {Image.open(first / path).size for path in paths} == {(50, 40)}


def test_memory_of_a_sweep_is_that_of_its_process():
    few, many = (row["mebibytes"] for row in costs.memory(QUICK))
    assert few > 100 and many < 1.2 * few


@pytest.mark.skipif(sys.platform == "win32", reason="memory is measured on Linux and macOS alone")
def test_a_process_does_not_count_the_memory_of_the_one_that_started_it():
    inner = "from wiseft_nb.make.peak import peak_mebibytes; print(peak_mebibytes())"
    outer = f"import subprocess, sys; held = b'1' * (400 * 2**20); subprocess.run([sys.executable, '-c', {inner!r}], check=True)"
    said = subprocess.run([sys.executable, "-c", outer], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert 5 < float(said) < 200


def test_a_head_that_differs_is_not_timed(monkeypatch, clip, tmp_path):
    monkeypatch.setattr(comparisons, "random_clip", lambda architecture: clip)
    honest, margin = comparisons.zero_shot_head, COMPARISONS["head"].margin
    measured(comparisons.head(QUICK, tmp_path), 1, margin)
    monkeypatch.setattr(comparisons, "zero_shot_head", lambda *args: 1.001 * honest(*args))
    with pytest.raises(WiseftError, match="two answers"):
        measured(comparisons.head(QUICK, tmp_path), 1, margin)


def test_a_quick_run_never_replaces_what_was_measured():
    with pytest.raises(WiseftError, match="--out"):
        main(["--quick"])


def test_a_name_that_nothing_begins_with_is_refused(tmp_path):
    with pytest.raises(WiseftError, match="nothing begins with speed: expected one of head"):
        main(["--quick", "--out", str(tmp_path / "out.json"), "--only", "speed"])


def test_the_readme_says_what_was_measured():
    results = json.loads(RESULT.read_text())
    inside = README.read_text().partition("<!-- benchmark -->\n")[2].partition("\n<!-- /benchmark -->")[0]
    assert inside.splitlines() == tables(results)


def test_all_has_been_measured():
    missing = sorted(set(KNOWN) - set(json.loads(RESULT.read_text())))
    if missing:
        pytest.skip(f"`make benchmark` has yet to measure {'; '.join(missing)}")


def test_a_table_without_its_markers_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("wiseft_nb.make.readme.README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text("<!-- /here --> <!-- here -->")
    with pytest.raises(WiseftError, match="lacks"):
        write_between("here", ["| a |"])
    assert (tmp_path / "README.md").read_text() == "<!-- /here --> <!-- here -->"
