"""Name the programs that ask the kernel itself, and put others in their place.

nproc asks which CPUs it may run on, and gets those of this computer: no file can change that. So
the directory programs/ stands first on the PATH of programs inside. Each one in it answers for the
simulated machine, and hands everything else on to the program of the same name that it hides.
ethtool and nvme ask the kernel, too; their places are taken altogether, by pseudokern ethtool and
pseudokern nvme.
"""

import os
import sys
from pathlib import Path

from pseudokern.kernel.cpumask import cpulist_parse

PROGRAMS = Path(__file__).parent / "programs"
ONLINE = Path("/sys/devices/system/cpu/online")

MOST = 1 << 16  # CPUs, of any machine

# What OpenMP takes for the number of threads; others have followed, nproc among them.
THREADS = "OMP_NUM_THREADS"
# The same number, so that nproc can tell what we set from what the user did.
OURS = "PSEUDOKERN_OMP_NUM_THREADS"

PYTHON = "PSEUDOKERN_PYTHON"  # whose modules the programs written in Python are


def environment_inside() -> dict[str, str]:
    """The environment of a program that sees the machine; call when this process does."""
    environment = dict(os.environ)
    path = environment.get("PATH", os.defpath)
    environment["PATH"] = f"{PROGRAMS}{os.pathsep}{path}"
    environment[PYTHON] = sys.executable
    ours = environment.pop(OURS, None)
    if environment.get(THREADS) == ours:
        online = cpulist_parse(ONLINE.read_bytes().strip(), MOST).bit_count()
        environment[THREADS] = environment[OURS] = str(online)
    return environment
