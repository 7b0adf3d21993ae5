"""What is timed: for each, how both sides do it once, and how many times as much Raster Vision has to take."""

import shutil

import learning
import raster_vision
import rasterio
from checks import draw_weights, weights_of_bundle
from raster_vision import Pipeline
from swath import forget, only


def chip(swath, work, scene):
    """All windows of a scene with their labels, into files."""
    theirs = Pipeline(work / "theirs", [scene])

    def ours():
        shutil.rmtree(work / "ours", ignore_errors=True)
        return swath.run(scene.parent, work / "ours", "survey", "chip", scenes__0__group="train")

    def others():
        shutil.rmtree(theirs.root / "chip", ignore_errors=True)
        return theirs.run("chip")

    return ours, others


def analyze(swath, work, scene):
    """Mean and deviation of the bands: of all pixels here, of a tenth there."""
    theirs = Pipeline(work / "theirs", [scene])
    def ours():
        shutil.rmtree(work / "ours", ignore_errors=True)
        return swath.run(scene.parent, work / "ours", "survey", "analyze", data__scale="stats")

    return ours, lambda: theirs.run("analyze")


def evaluate(swath, work, scene):
    """The same map against the same polygons; each has the map in a file as itself writes it."""
    theirs = Pipeline(work / "theirs", [scene], [scene])
    root, stages, keys = work / "ours", ("survey", "predict", "assemble", "eval"), dict(model__seed=1)
    swath.run(scene.parent, root, *stages, **keys)
    _as_rows(only(root, f"predict/*/{scene.name}.tif"), theirs.labels(scene.name))

    def ours():
        forget(root, "eval")
        return swath.run(scene.parent, root, *stages, **keys)

    def others():
        shutil.rmtree(theirs.root / "eval", ignore_errors=True)
        return theirs.run("eval")

    return ours, others


def predict(swath, work, scene):
    """The same network over all windows of a scene."""
    weights = _drawn(work, scene)
    return _ours(swath, work, scene, weights), _theirs(work, scene, weights)


def predict_by_hand(swath, work, scene):
    """Against a loop that does nothing else."""
    weights = _drawn(work, scene)
    return _ours(swath, work, scene, weights), _by_hand(work, scene, weights)


def predict_int8(swath, work, scene):
    """In 8 bits here, in 32 there, where nothing else is to be had."""
    weights = weights_of_bundle(swath.bundle, work / "weights.pth")
    return _ours(swath, work, scene, swath.bundle, predict__precision="int8"), _theirs(work, scene, weights)


def predict_int8_by_hand(swath, work, scene):
    weights = weights_of_bundle(swath.bundle, work / "weights.pth")
    return _ours(swath, work, scene, swath.bundle, predict__precision="int8"), _by_hand(work, scene, weights)


def _ours(swath, work, scene, weights, **more):
    # As the planner has it (4,096 px where a window takes up to half a second), but in items, or a scene of this size is
    # written at once and nothing assembled.
    with rasterio.open(f"{scene}.tif") as image:
        item_px = max((px for px in (1024, 2048, 4096) if px < image.width), default=512)
    keys = dict(model__architecture="unet-resnet18", model__weights=weights, predict__item_px=item_px, **more)

    def ours():
        shutil.rmtree(work / "ours", ignore_errors=True)
        return swath.run(scene.parent, work / "ours", "survey", "predict", "assemble", **keys)

    return ours


def _theirs(work, scene, weights):
    theirs = Pipeline(work / "theirs", [scene], [scene], model="unet_resnet18", weights=weights)

    def others():
        shutil.rmtree(theirs.root / "predict", ignore_errors=True)
        return theirs.run("predict")

    return others


def _by_hand(work, scene, weights):
    return lambda: raster_vision.script("hand.py", f"{scene}.tif", weights, work / "out.tif")


def _drawn(work, scene):
    if not (work / "weights.pth").exists():
        draw_weights(scene, work / "weights.pth")
    return work / "weights.pth"


def start(swath, work, scene):
    """The command line, to its own description."""
    return lambda: swath.command("--help"), lambda: raster_vision.command("--help")


def _as_rows(tiled, path):
    """Rows, not compressed."""
    import rasterio

    path.parent.mkdir(parents=True)
    with rasterio.open(tiled) as given:
        about = dict(driver="GTiff", dtype="uint8", count=1, width=given.width, height=given.height)
        with rasterio.open(path, "w", crs=given.crs, transform=given.transform, **about) as raster:
            raster.write(given.read(1), 1)


ALL = {
    "chip": (chip, 10),
    "eval": (evaluate, 20),
    "analyze": (analyze, 1),
    "start": (start, 50),
    "train": (learning.train, 1.3),
    "predict": (predict, 2),
    "predict-by-hand": (predict_by_hand, 1.3),
    "predict-int8": (predict_int8, 6),
    "predict-int8-by-hand": (predict_int8_by_hand, 4),
}
# The others take an hour at the usual size.
USUAL = ["chip", "eval", "analyze", "start"]
