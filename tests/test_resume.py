"""Fine-tuning and sweeps can be killed at any moment: what comes out in the end is the same, bit for bit."""

import multiprocessing
import random
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

KILLS = 20


@pytest.fixture(scope="module")
def context():
    if "forkserver" not in multiprocessing.get_all_start_methods():
        pytest.skip("needs processes that can be killed and forked again")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed_runs"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where the server finds what to preload
        forkserver.ensure_running()
    return context


def run(*arguments):
    import killed_runs  # in the server and its children alone: it changes what other tests rely on

    killed_runs.run(*arguments)


def start(context, *arguments):
    process = context.Process(target=run, args=arguments)
    process.start()
    return process


def test_twenty_kills_change_nothing(context, tmp_path):
    """Each process lives for a fraction of the time the work takes, so only what was kept lets it finish."""
    start(context, tmp_path / "warm", tmp_path / "warm.txt").join()  # the server has imported everything
    began = time.monotonic()
    start(context, tmp_path / "whole", tmp_path / "whole.txt").join()
    seconds = time.monotonic() - began
    expected = (tmp_path / "whole.txt").read_text()
    assert (tmp_path / "warm.txt").read_text() == expected

    dice, kills, rounds = random.Random(0), 0, 0
    while kills < KILLS or rounds == 0:
        assert kills < 10 * KILLS, "nothing was kept: it never gets to the end"
        out = tmp_path / f"{rounds}.txt"
        process = start(context, tmp_path / str(rounds), out)
        process.join(dice.uniform(0, 0.5 * seconds))
        if process.is_alive():
            process.kill()
            kills += 1
            process.join()
        if out.exists():
            assert out.read_text() == expected
            rounds += 1
    start(context, tmp_path / str(rounds), tmp_path / f"{rounds}.txt").join()
    assert (tmp_path / f"{rounds}.txt").read_text() == expected
