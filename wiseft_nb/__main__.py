"""The whole pipeline from a shell: ``python -m wiseft_nb --model ViT-B-32 --pretrained openai``.

Zero-shot, fine-tune, sweep; writes ``sweep.csv`` and both classifiers. On several GPUs or machines:
``accelerate launch --num_processes 8 -m wiseft_nb …``. Killed and started again, it goes on. What is
refused is refused in one sentence, with exit code 2.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

from wiseft_nb.benchmarks import Benchmark, load_benchmark
from wiseft_nb.engine.compute import Compute
from wiseft_nb.engine.files import expanded, write_whole
from wiseft_nb.engine.processes import is_main
from wiseft_nb.errors import WiseftError
from wiseft_nb.fine_tune import fine_tune
from wiseft_nb.models.clip import load_clip
from wiseft_nb.recipes import FineTuneConfig
from wiseft_nb.sweep import sweep
from wiseft_nb.weights.checkpoint import save_classifier
from wiseft_nb.zero_shot import zero_shot_classifier

# what sentences call by Python's names
OPTIONS = {
    "complete=False": "--partial",
    "device='cpu'": "--device cpu",
    "pretrained=,": "--pretrained,",
    "Compute.micro_batch": "--micro-batch",
    "FineTuneConfig.batch_size": "--batch-size",
    **{f"FineTuneConfig.{name}": f"--{name}" for name in ("epochs", "lr", "seed")},
}


def run(args: argparse.Namespace) -> None:
    """Zero-shot, fine-tune, sweep, write."""
    config = FineTuneConfig() if args.recipe == "default" else FineTuneConfig.paper(args.recipe)
    chosen = {name: getattr(args, name) for name in ("method", "lr", "epochs", "batch_size", "seed")}
    config = dataclasses.replace(config, **{name: value for name, value in chosen.items() if value is not None})
    compute = Compute(args.precision, micro_batch=args.micro_batch, checkpointing=args.checkpointing)
    benchmark: Benchmark = load_benchmark(args.benchmark, root=args.root, shifts=args.shifts, complete=not args.partial)
    clip = load_clip(args.model, args.pretrained, device=args.device)
    zero_shot = zero_shot_classifier(clip, benchmark)
    out = expanded(args.out)
    save_classifier(zero_shot, out / "zero-shot")  # a folder that cannot be written is better known now
    how = {"cache": True, "compute": compute, "workers": args.workers}
    fine_tuned = fine_tune(zero_shot, benchmark, config, **how)
    save_classifier(fine_tuned, out / "fine-tuned")
    zero_shot.to(next(fine_tuned.parameters()).device)
    alphas = [i / (args.alphas - 1) for i in range(args.alphas)]
    table = sweep(zero_shot, fine_tuned, benchmark, alphas, **how)
    write_whole(out / "sweep.csv", table.to_csv(index=False).encode())
    if is_main():
        print(table.pivot(index="alpha", columns="dataset", values="accuracy").round(4).to_string())


def whole(least: int) -> Callable[[str], int]:
    """Reads a whole number that is not too small."""

    def read(text: str) -> int:
        if not text.strip().isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, {least} or more")
        return int(text)

    return read


def main() -> None:
    """See the module's first lines."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--benchmark", default="digits", help="a name, or a folder or CSV of your own")
    parser.add_argument("--root", help="where datasets lie")
    parser.add_argument("--shifts", nargs="*", help="names or patterns; by default those usually reported")
    parser.add_argument("--partial", action="store_true", help="take datasets that are not complete")
    parser.add_argument("--model", default="digits-rn", help="what load_clip takes")
    parser.add_argument("--pretrained", help="a tag or a weights file")
    parser.add_argument("--device", default="cpu", help="alone; several processes have one each")
    parser.add_argument("--recipe", default="default", help="default, or a model of the paper's, such as ViT-B/16")
    parser.add_argument("--method", choices=("end-to-end", "linear"))
    parser.add_argument("--lr", type=float)
    parser.add_argument("--epochs", type=whole(1))
    parser.add_argument("--batch-size", type=whole(1))
    parser.add_argument("--seed", type=whole(0))
    parser.add_argument("--alphas", type=whole(2), default=11, help="how many, evenly from 0 to 1")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--micro-batch", type=whole(1), help="images whose gradients are computed at a time")
    parser.add_argument("--checkpointing", action="store_true", help="less memory, a third more time")
    parser.add_argument("--workers", type=whole(0), help="processes that prepare batches; 0 for none")
    parser.add_argument("--out", type=Path, default=Path("build/run"))
    args = parser.parse_args()
    try:
        run(args)
    except WiseftError as error:
        sentence = str(error)
        for name, option in OPTIONS.items():
            sentence = sentence.replace(name, option)
        print(f"wiseft_nb: {sentence}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
