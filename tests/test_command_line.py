"""``python -m wiseft_nb``: what it refuses, it refuses in one sentence, before anything is computed."""

import sys

import pandas as pd
import pytest
import torch

from wiseft_nb import __main__ as command_line
from wiseft_nb import load_benchmark, load_classifier


@pytest.fixture
def shell(monkeypatch, capsys, tmp_path):
    """Runs the command; returns its exit code and what it said on stderr."""
    monkeypatch.setenv("WISEFT_NB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WISEFT_NB_DATA", str(tmp_path / "data"))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["wiseft_nb", *map(str, arguments)])
        try:
            command_line.main()
        except SystemExit as ended:
            return ended.code, capsys.readouterr().err
        return 0, capsys.readouterr().err

    return run


@pytest.fixture
def images(tmp_path, benchmark):
    """A few digits as files."""
    for part, n in (("train", 60), ("test", 30)):
        for i in range(n):
            image, label = benchmark.train[i + (0 if part == "train" else 60)]
            path = tmp_path / "images" / part / str(label) / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    return tmp_path / "images"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--alphas", "1"], "argument --alphas: '1': expected a whole number, 2 or more"),
        (["--alphas", "0"], "argument --alphas: '0': expected a whole number, 2 or more"),
        (["--workers", "-1"], "argument --workers"),
        (["--epochs", "2.5"], "argument --epochs: '2.5': expected a whole number, 1 or more"),
        (["--lr", "-1"], "wiseft_nb: --lr is -1.0: expected a finite number, 0 or more"),
        (["--recipe", "RN50"], "wiseft_nb: unknown model with a recipe of the paper's 'RN50'"),
        (["--model", "ViT-B-32"], "wiseft_nb: ViT-B-32 has no weights of its own: pass --pretrained, one of"),
        (["--device", "cuda:99"], "wiseft_nb: device 'cuda:99' cannot be used here"),
        (["--benchmark", "nonsense"], "wiseft_nb: unknown benchmark 'nonsense'"),
    ],
)
def test_what_cannot_be_run_is_refused_in_a_sentence_with_exit_code_2(shell, arguments, says, monkeypatch):
    monkeypatch.setattr(command_line, "fine_tune", lambda *_, **__: pytest.fail("it began to train"))
    code, said = shell(*arguments)
    assert code == 2 and says in said and "Traceback" not in said
    assert len(said.strip().splitlines()) == 1 or said.startswith("usage:")


def test_a_refusal_names_the_command_lines_own_options(shell, images):
    """A class with one image: mended, or taken all the same with --partial."""
    (images / "test" / "0" / "broken.png").write_bytes(b"no image")
    code, said = shell("--benchmark", images)
    assert code == 2 and "--partial" in said and "complete=" not in said


def test_a_folder_that_cannot_be_written_is_refused_before_the_training(shell, images, tmp_path, monkeypatch):
    monkeypatch.setattr(command_line, "fine_tune", lambda *_, **__: pytest.fail("it began to train"))
    (tmp_path / "in-the-way").write_text("precious")
    code, said = shell("--benchmark", images, "--partial", "--out", tmp_path / "in-the-way")
    assert code == 2 and "in-the-way" in said and "cannot be written" in said


def test_it_writes_a_table_and_both_classifiers(shell, images, tmp_path):
    out = tmp_path / "out"
    options = ["--partial", "--method", "linear", "--epochs", 1, "--alphas", 3, "--workers", 0, "--out", out]
    code, said = shell("--benchmark", images, *options)
    assert code == 0, said
    assert sorted(set(pd.read_csv(out / "sweep.csv").alpha)) == [0, 0.5, 1]
    zero_shot, fine_tuned = (load_classifier(out / name) for name in ("zero-shot", "fine-tuned"))
    assert list(zero_shot.class_names) == list(load_benchmark(images, complete=False).class_names)
    heads = [classifier.classification_head.weight for classifier in (zero_shot, fine_tuned)]
    assert len(fine_tuned.history) == 1 and not torch.equal(*heads)
