"""What is timed: for each, how both sides do it once, and how many times as much Raster Vision has to take."""

import shutil

import raster_vision
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


ALL = {"chip": (chip, 10), "eval": (evaluate, 20), "analyze": (analyze, 1), "start": (start, 50)}
