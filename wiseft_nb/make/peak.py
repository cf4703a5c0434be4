"""How much memory a process has had: nothing else is imported, or that would be counted too."""

import re
import sys
from pathlib import Path


def peak_mebibytes() -> float:
    """The most that this process ever had; not on Windows."""
    import resource

    if sys.platform == "linux":  # whose getrusage also counts the memory of the process that started this one
        return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
