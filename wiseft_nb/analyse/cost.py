"""What it costs to ask one or several networks: parameters, multiply-adds, time.

Explained in notebook 07_compare_ensembles.
"""

import statistics
import time

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from wiseft_nb.engine.compute import evaluating
from wiseft_nb.engine.nested import Batch
from wiseft_nb.errors import WiseftError

REPETITIONS = 9


def inference_cost(*networks: nn.Module, batch: Batch, repetitions: int = REPETITIONS) -> dict[str, float]:
    """Cost of an ensemble that runs all of these networks for every input.

    Parameters
    ----------
    networks : nn.Module
        One that stands twice is run and counted twice.
    batch : Tensor
        Inputs, ``(n, …)``.
    repetitions : int
        Of the timing; the median counts.

    Returns
    -------
    dict of str to float
        ``parameters``, ``bytes`` (of parameters and buffers), ``multiply_adds`` (of one input, as torch counts
        them: products of matrices and convolutions), ``milliseconds`` (an input, this batch at once).

    Raises
    ------
    WiseftError
        If there is no network or no input.

    Explained in notebook 07_compare_ensembles.
    """
    if not networks or not len(batch):
        raise WiseftError("nothing to measure: give a network or more, and a batch of one input or more")
    seconds = []
    with torch.no_grad(), evaluating(*networks):
        with FlopCounterMode(display=False) as counter:
            for network in networks:
                network(batch)
        for _ in range(repetitions):
            began = time.perf_counter()
            for network in networks:
                network(batch)
            seconds.append(time.perf_counter() - began)
    tensors = [tensor for network in networks for tensor in network.state_dict().values()]
    return {
        "parameters": sum(p.numel() for network in networks for p in network.parameters()),
        "bytes": sum(tensor.numel() * tensor.element_size() for tensor in tensors),
        "multiply_adds": counter.get_total_flops() / 2 / len(batch),
        "milliseconds": 1000 * statistics.median(seconds) / len(batch),
    }
