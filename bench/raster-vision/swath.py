"""Swath's side: one pipeline file beside the scenes, one worker, a root of its own for every measurement."""

import os
import shutil
import sys
from pathlib import Path

import cost

PIPELINE = Path(__file__).with_name("pipeline.toml")


class Swath:
    def __init__(self, binary, bundle, seeds):
        self.binary, self.bundle, self.seeds = binary, bundle, seeds

    def command(self, *words):
        """CPU seconds of `swath WORDS`."""
        return cost.run([self.binary, *words], env={**os.environ, "OMP_NUM_THREADS": "1"})

    def scenes(self, folder, size, count=1):
        """Drawn once; their paths without an ending."""
        if not folder.exists():
            self.command("synth", folder, "--size", size, "--count", count)
            shutil.copy(PIPELINE, folder)
        return [folder / f"scene-{number + 1}" for number in range(count)]

    def run(self, folder, root, *stages, pipeline=PIPELINE.name, **keys):
        """CPU seconds of stages over the scenes of a folder. In names of keys, __ stands for a dot."""
        sets = [word for key, value in keys.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]
        words = ["run", folder / pipeline, "--root", root, "--workers", 1, "--stages", ",".join(stages)]
        seconds = self.command(*words, *sets)
        if not any(root.glob(f"items/*/{stages[-1]}/*")):
            sys.exit(f"swath did nothing of {stages[-1]}")
        return seconds


def forget(root, stage):
    """Leaves a root as it was before its last stage, and without queue, ledger and run."""
    for outputs in root.glob(f"items/*/{stage}"):
        shutil.rmtree(outputs)
    for folder in ("local", "runs", stage):
        shutil.rmtree(root / folder, ignore_errors=True)


def only(root, pattern):
    """The one file that fits."""
    [found] = root.glob(pattern)
    return found
