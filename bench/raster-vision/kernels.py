"""How much of what a prediction costs is the network and the bare codec: what the thread computes that runs the network,
and what GDAL takes to read the same tiles and to write the same map. What is left is Swath's own: cutting windows,
looking for what is no number, choosing classes, making overviews, assembling, queue and ledger.

Measured of what a larger scene takes more than a smaller one, so what a run takes once is no part of it: starting a
worker, loading a network, and the picture of a scene, for which as many tiles are read of both. What it takes once
differs between runs by tenths of a second: the larger scene has to be much the larger.
"""

import re
import shutil
import statistics
import time

import cost
import numpy
import rasterio
from rasterio.windows import Window
from swath import only

SIZES_PX = 5120, 10240
# As the planner has it, where a window takes up to half a second.
ITEM_PX = 4096
ROUNDS = 3


def share(swath, work, _):
    """Of the CPU seconds, in 32 bits and in 8, with weights that were trained: maps of drawn ones are noise, which is
    most of what a codec would do."""
    scenes = [swath.scenes(work / f"scenes-{size}", size)[0] for size in SIZES_PX]
    for name, precision, least in ("kernels", "fp32", 0.97), ("kernels-int8", "int8", 0.94):
        keys = dict(model__architecture="unet-resnet18", model__weights=swath.bundle, predict__precision=precision,
                    predict__item_px=ITEM_PX)
        with cost.one_thread():
            # The first warms caches.
            rounds = [_more(swath, work / name, scenes, keys) for _ in range(1 + ROUNDS)][1:]
        # Of each round, since what one takes of `all` it takes of the network too.
        shares = [_share(costs) for costs in rounds]
        middle = {f"{what}_cpu_s": round(statistics.median(one[what] for one in rounds), 3) for what in rounds[0]}
        more = dict(sizes_px=SIZES_PX, shares=[round(one, 4) for one in shares], **middle)
        yield name, statistics.median(shares), least, more


def _share(costs):
    """Where a worker takes less for it, with opening and overviews of items, its time counts instead of GDAL's."""
    decode, encode = (min(costs[what], costs[f"worker_{what}"]) for what in ("decode", "encode"))
    return (costs["network"] + decode + encode) / costs["all"]


def _more(swath, root, scenes, keys):
    few, many = (_costs(swath, root, scene, keys) for scene in scenes)
    return {what: many[what] - few[what] for what in few}


def _costs(swath, root, scene, keys):
    shutil.rmtree(root, ignore_errors=True)
    seconds = swath.run(scene.parent, root, "survey", "predict", "assemble", **keys)
    log = (root / "local/logs/worker-1.log").read_text()

    def told(what):
        [value] = re.findall(rf" {what}_s=([\d.]+)", log)
        return float(value)

    costs = dict(all=seconds, network=told("forward"), worker_decode=told("decode"), worker_encode=told("encode"))
    encode = _encode(only(root, f"predict/*/{scene.name}.tif"), root / "bare.tif")
    return dict(costs, decode=_decode(scene), encode=encode)


def _decode(scene):
    """A row of tiles after the other, into memory that is there."""
    with rasterio.open(f"{scene}.tif") as image:
        rows = list(_rows(image))
        room = numpy.ones((image.count, rows[0].height, image.width), "uint8")
        before = time.process_time()
        for row in rows:
            image.read(out=room[:, : row.height], window=row)
        return time.process_time() - before


def _encode(map, path):
    """All levels of a map's pyramid, each to a file of its kind, a row of tiles after the other."""
    with rasterio.open(map) as written:
        levels = [{}, *({"overview_level": level} for level in range(len(written.overviews(1))))]
    seconds = 0
    for level in levels:
        with rasterio.open(map, **level) as written:
            about, classes = written.profile, [(written.read(window=row), row) for row in _rows(written)]
        raster = rasterio.open(path, "w", **about)
        before = time.process_time()
        with raster:
            for part, row in classes:
                raster.write(part, window=row)
        seconds += time.process_time() - before
    return seconds


def _rows(raster):
    """Of tiles."""
    height = raster.block_shapes[0][0]
    for row in range(0, raster.height, height):
        yield Window(0, row, raster.width, min(height, raster.height - row))
