"""How much of what a prediction costs is the network and the bare codec: GDAL's, of whole images. What is left is Swath's
own: cutting windows, choosing classes, making overviews, assembling, queue and ledger.

Measured of what a larger scene takes more than a smaller one, so what a run takes once is no part of it: starting a
worker, loading a network, and the picture of a scene, for which as many tiles are read of both.

The share is too high so far: the network is timed by the clock, and on one thread that has in it what the codec takes meanwhile.
"""

import re
import shutil
import statistics
import time

import cost
import rasterio
from checks import draw_weights
from swath import only

SIZES_PX = 5120, 7168
ROUNDS = 3


def share(swath, work, _):
    """Of the CPU seconds, in 32 bits, and in 8 where there is a bundle."""
    small, large = (swath.scenes(work / f"scenes-{size}", size)[0] for size in SIZES_PX)
    weights = work / "weights.pth"
    draw_weights(small, weights)
    ways = {"kernels": (0.97, dict(model__weights=weights))}
    if swath.bundle:
        ways["kernels-int8"] = (0.94, dict(model__weights=swath.bundle, predict__precision="int8"))
    for name, (least, keys) in ways.items():
        keys |= dict(model__architecture="unet-resnet18", predict__item_px=1024)
        with cost.one_thread():
            # The first warms caches.
            rounds = [_more(swath, work / name, (small, large), keys) for _ in range(1 + ROUNDS)][1:]
        middle = {what: statistics.median(costs[what] for costs in rounds) for what in rounds[0]}
        bare = middle["network"] + middle["decode"] + middle["encode"]
        seconds = {f"{what}_cpu_s": round(value, 3) for what, value in middle.items()}
        yield name, bare / middle["all"], least, dict(sizes_px=SIZES_PX, rounds=ROUNDS, **seconds)


def _more(swath, root, scenes, keys):
    few, many = (_costs(swath, root, scene, keys) for scene in scenes)
    return {what: many[what] - few[what] for what in few}


def _costs(swath, root, scene, keys):
    shutil.rmtree(root, ignore_errors=True)
    seconds = swath.run(scene.parent, root, "survey", "predict", "assemble", **keys)
    [network] = re.findall(r"forward_s=([\d.]+)", (root / "local/logs/worker-1.log").read_text())
    decode, encode = _decode(scene), _encode(only(root, f"predict/*/{scene.name}.tif"), root / "bare.tif")
    return dict(all=seconds, network=float(network), decode=decode, encode=encode)


def _decode(scene):
    before = time.process_time()
    with rasterio.open(f"{scene}.tif") as image:
        image.read()
    return time.process_time() - before


def _encode(map, path):
    """All levels of a map's pyramid, each to a file of its kind."""
    with rasterio.open(map) as written:
        levels = [{}, *({"overview_level": level} for level in range(len(written.overviews(1))))]
    seconds = 0
    for level in levels:
        with rasterio.open(map, **level) as written:
            about, classes = written.profile, written.read()
        before = time.process_time()
        with rasterio.open(path, "w", **about) as raster:
            raster.write(classes)
        seconds += time.process_time() - before
    return seconds
