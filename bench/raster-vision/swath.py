"""Swath's side: one pipeline file beside the scenes, one worker, a root of its own for every measurement."""

import os
import shutil
import sys
from pathlib import Path

import cost

PIPELINE = Path(__file__).with_name("pipeline.toml")
QUICKSTART = Path(__file__).parents[2] / "examples/quickstart.toml"


class Swath:
    def __init__(self, binary, bundle, seeds, work):
        self.binary, self._bundle, self.seeds, self._work = binary, bundle, seeds, work

    @property
    def bundle(self):
        """Of a U-Net on ResNet-18 with ranges for 8 bits: one that was given, or trained here in two epochs."""
        if self._bundle is None:
            folder, root = self._work / "trained", self._work / "trained/root"
            self.scenes(folder / "data", 2048, count=4)
            shutil.copy(QUICKSTART, folder)
            keys = {"scenes__2__group": "validation", "train__epochs": 2, "predict__precision": "int8"}
            self.run(folder, root, "survey", "chip", "train", "predict", "bundle", pipeline=QUICKSTART.name, **keys)
            self._bundle = only(root, "bundle/*/*.zip")
        return self._bundle

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
