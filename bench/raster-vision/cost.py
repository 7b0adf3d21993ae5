"""What commands cost, in CPU seconds of their whole process tree: on a machine that is shared, wall time says
nothing, and even CPU seconds move; so both sides are run in turn, and medians are compared."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile


def run(command, **more):
    """CPU seconds of a command and all its children."""
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen([str(word) for word in command], stdout=said, stderr=said, **more)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            sys.exit(f"{' '.join(map(str, command))}: exit code {child.returncode}\n{said.read().decode()[-4000:]}")
    return usage.ru_utime + usage.ru_stime


@contextlib.contextmanager
def one_thread():
    """All that is started meanwhile runs on one thread of the processor: on two that share a core, a program that reads
    beside its network is slowed by itself, and one that does not is spared that."""
    threads = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(threads)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, threads)


def in_turn(pairs, ours, theirs):
    """Medians of `pairs` runs of each, and the highest load meanwhile. The first of each warms caches, unmeasured."""
    costs, load = [], 0.0
    with one_thread():
        for _ in range(pairs + 1):
            costs.append((ours(), theirs()))
            load = max(load, os.getloadavg()[0])
    return *map(statistics.median, zip(*costs[1:])), load


def say(name, value, unit, floor, **more):
    """One line of JSON; whether the value is as high as it has to be."""
    line = dict(name=f"raster-vision/{name}", value=round(value, 6), unit=unit, at_least=floor, **more)
    print(json.dumps(line), flush=True)
    return value >= floor
