"""Training on both sides: the same chips, weights to begin with, batch, optimizer and schedule.

What is timed is an epoch more: both sides have work that does not grow with them (imports there, chips here). Epochs are
long enough that the checkpoint after each is little beside them, as it is where people train.
"""

import csv
import shutil
import statistics

import raster_vision
from checks import LABELS, burn, draw_weights
from raster_vision import Pipeline
from swath import only

# Chips of 256 px: 100 to learn from, and as many to hold against them; 36 where many epochs are learnt.
TIMED_PX, LEARNT_PX = 2560, 1536
EPOCHS = 1, 2
# Of which the chips are whole ones, here and below: both sides take the same number of samples and of steps.
TIMED_BATCH = 10
# Of the longer training: in its first third F1 hangs on chance, and triples within an epoch.
LEARNT_EPOCHS = 30
LEARNT_BATCH = 6
PIPELINE = "learning.toml"


def train(swath, work, _):
    """Epochs, each with its validation."""
    scenes = _scenes(swath, work, TIMED_PX)
    weights = work / "weights.pth"
    draw_weights(scenes[0], weights)
    few, many = EPOCHS

    def more(once):
        return lambda: once(many) - once(few)

    return (more(lambda epochs: ours(swath, work / "ours", scenes, weights, epochs, TIMED_BATCH)[0]),
            more(lambda epochs: theirs(work / "theirs", scenes, weights, epochs, TIMED_BATCH)[0]))


def same_scores(swath, work, _):
    """How much higher the F1 of buildings is after as many epochs, on average over some seeds. Chips stay as they are: only
    their order is drawn."""
    yield "same-training", *_scores(swath, work, augment=False)


def usual_scores(swath, work, _):
    """The same where each side turns and mirrors chips as it does if nothing is said."""
    yield "usual-training", *_scores(swath, work, augment=True)


def _scores(swath, work, augment):
    scenes = _scenes(swath, work, LEARNT_PX)
    found, wanted = [], []
    for seed in swath.seeds:
        weights = work / f"weights-{seed}.pth"
        draw_weights(scenes[0], weights, seed)
        same = scenes, weights, LEARNT_EPOCHS, LEARNT_BATCH
        found.append(ours(swath, work / "ours", *same, seed, augment)[1])
        wanted.append(theirs(work / "theirs", *same, augment)[1])
    higher = statistics.mean(found) - statistics.mean(wanted)
    return higher, -0.01, dict(ours=found, raster_vision=wanted, seeds=[*swath.seeds], epochs=LEARNT_EPOCHS)


def ours(swath, root, scenes, weights, epochs, batch, seed=0, augment=True):
    """CPU seconds, and the F1 of buildings on the chips for validation after the last epoch."""
    shutil.rmtree(root, ignore_errors=True)
    keys = dict(train__epochs=epochs, train__batch=batch, train__init=weights, train__seed=seed)
    if not augment:
        keys["train__augment"] = "[]"
    seconds = swath.run(scenes[0].parent, root, "survey", "chip", "train", pipeline=PIPELINE, **keys)
    return seconds, _last(only(root, "train/*/log.csv"), "f1_1")


def theirs(root, scenes, weights, epochs, batch, augment=True):
    shutil.rmtree(root, ignore_errors=True)
    pipeline = Pipeline(root, scenes[:1], scenes[1:], LABELS, "unet_resnet18",
                        solver=dict(num_epochs=epochs, batch_sz=batch, lr=1e-3), begin=weights, augment=augment)
    pipeline.run("chip")
    seconds = pipeline.run("train")
    return seconds, _last(only(root, "train/log.csv"), "building_f1")


def _scenes(swath, work, size):
    scenes = swath.scenes(work / "scenes", size, count=2)
    shutil.copy(raster_vision.MODEL.parent / PIPELINE, scenes[0].parent)
    burn(scenes)
    return scenes


def _last(log, column):
    with open(log) as lines:
        *_, last = csv.DictReader(lines)
    return float(last[column])
