"""Raster Vision beside Swath, on scenes that are drawn for it: first that both say the same, then what it costs. And, with
`--only kernels`, how much of a prediction of Swath's is the network and the codec.

One JSON object a line. The value of a cost is how many times the CPU seconds of Swath Raster Vision takes; analyze
reads all pixels here and a tenth of them there. Ends with 1 if anything is lower than `at_least`.
"""

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import checks
import cost
import costs
import evaluation
import kernels
import learning
from swath import Swath

# Two scenes that end inside a window.
CHECKED_PX = 1500
CHECKS = {**checks.ALL, "evaluation": evaluation.compare, "same-training": learning.same_scores,
          "usual-training": learning.usual_scores, "kernels": kernels.share}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("swath", type=lambda path: Path(path).resolve())
    options.add_argument("--size", type=int, default=10_000, help="edge of the scene that is timed, in pixels")
    options.add_argument("--pairs", type=int, default=5)
    options.add_argument("--only", choices=[*CHECKS, *costs.ALL], nargs="+", default=[*checks.ALL, "evaluation", *costs.USUAL])
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of trainings whose scores are compared")
    options.add_argument("--bundle", type=lambda path: Path(path).resolve(),
                         help="of a U-Net on ResNet-18 with ranges for 8 bits, for those in 8 bits and kernels: trained if none is given")
    options = options.parse_args()
    git = ["git", "-C", Path(__file__).parent, "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    good = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        swath = Swath(options.swath, options.bundle, options.seeds, work)
        for name in filter(CHECKS.get, options.only):
            scenes = swath.scenes(work / "checked", CHECKED_PX, count=2)
            for what, share, least, more in CHECKS[name](swath, work / name, scenes):
                load = os.getloadavg()[0]
                good.append(cost.say(what, share, "share", least, **more, load=load, commit=commit))
        for name in filter(costs.ALL.get, options.only):
            [scene] = swath.scenes(work / "timed", options.size)
            measure, least = costs.ALL[name]
            ours, theirs, load = cost.in_turn(options.pairs, *measure(swath, work / name, scene))
            seconds = dict(swath_cpu_s=round(ours, 3), raster_vision_cpu_s=round(theirs, 3))
            more = dict(size_px=options.size, pairs=options.pairs, load=load, commit=commit)
            good.append(cost.say(name, theirs / ours, "x", least, **seconds, **more))
    raise SystemExit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
