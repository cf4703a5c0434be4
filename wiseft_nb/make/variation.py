"""How far the course's numbers move from one computer to the next: ``python -m wiseft_nb.make.variation``.

The same training with the same seed, on one and on two threads, and with the processor's older instructions
(AVX2 in place of AVX-512, where it has both): sums are then taken in another order, their last digits differ, and
training carries that to the first. Writes ``data/results/variation.csv``, seed after seed; what is there already is
not measured again.
"""

import os
import subprocess
import sys

import pandas as pd
from tqdm.auto import tqdm

from wiseft_nb.make.results import RESULTS, places_of_mean

TABLE = RESULTS / "variation.csv"
SEEDS = (0,)
# What differs: environment variables that are read when torch is loaded
SETTINGS = {
    "1 thread": {"OMP_NUM_THREADS": "1"},
    "2 threads": {"OMP_NUM_THREADS": "2"},
    "2 threads, AVX2": {"OMP_NUM_THREADS": "2", "ATEN_CPU_CAPABILITY": "avx2"},
}


def one_run(setting: str, seed: int) -> pd.DataFrame:
    """Fine-tune with the default recipe and sweep three alphas, in this process."""
    from wiseft_nb import FineTuneConfig, fine_tune, load_benchmark, load_clip, sweep, zero_shot_classifier

    benchmark = load_benchmark("digits")
    zero_shot = zero_shot_classifier(load_clip("digits-rn"), benchmark)
    fine_tuned = fine_tune(zero_shot, benchmark, FineTuneConfig(seed=seed), progress=False)
    groups = places_of_mean(benchmark)
    table = sweep(zero_shot, fine_tuned, benchmark, (0, 0.5, 1), groups=groups, progress=False)
    return table[["alpha", "dataset", "accuracy"]].assign(setting=setting, seed=seed).round(6)


def main() -> None:
    """Measure what is missing, each run in a process of its own."""
    if len(sys.argv) == 3:
        one_run(sys.argv[1], int(sys.argv[2])).to_csv(sys.stdout, index=False)
        return
    runs = [(setting, seed) for seed in SEEDS for setting in SETTINGS]
    for setting, seed in tqdm(runs, desc="runs"):
        there = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=["setting", "seed"])
        if ((there.setting == setting) & (there.seed == seed)).any():
            continue
        command = [sys.executable, "-m", __spec__.name, setting, str(seed)]
        done = subprocess.run(
            command, env=os.environ | SETTINGS[setting], stdout=subprocess.PIPE, check=True, text=True
        )
        with TABLE.open("a") as file:
            file.writelines(done.stdout.splitlines(keepends=True)[TABLE.stat().st_size > 0 :])


if __name__ == "__main__":
    main()
