"""Whether both say the same of the same scenes: classes, scores, chips. Each gives a share and what it is of.

Labels are rasters: of polygons, Raster Vision first takes the corners' fractions away, so that four pixels in a
thousand are others than those whose centres the polygon holds.
"""

import io
import json
import math
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

from raster_vision import MODEL, Pipeline
from swath import only

TOLERANCE = 1e-9
LABELS = "classes/{id}.tif"


def same_maps(swath, work, scenes):
    """The class of each pixel with the same weights, and then the numbers of each other's eval.json for one map."""
    weights = work / "weights.pth"
    draw_weights(scenes[0], weights)
    burn(scenes)
    theirs = Pipeline(work / "theirs", scenes, scenes, LABELS, "unet_resnet18", weights)
    theirs.run("predict")
    keys = dict(model__architecture="unet-resnet18", model__weights=weights, scenes__0__labels=LABELS)
    swath.run(scenes[0].parent, work / "ours", "survey", "predict", "assemble", "eval", **keys)
    same = total = buildings = 0
    for scene in scenes:
        ours = only(work / "ours", f"predict/*/{scene.name}.tif")
        left, right = _pixels(ours), _pixels(theirs.labels(scene.name))
        same, total, buildings = same + (left == right).sum(), total + left.size, buildings + right.sum()
        shutil.copy(ours, theirs.labels(scene.name))
    yield "same-classes", same / total, 0.999, dict(pixels=total, different=int(total - same), buildings=buildings / total)
    theirs.run("eval")
    wanted, found = json.loads(only(theirs.root, "eval/**/eval.json").read_text()), only(work / "ours", "eval/*/eval.json")
    wrong = list(_differences(wanted, json.loads(found.read_text())))
    numbers = _count(wanted)
    yield "same-eval", 1 - len(wrong) / numbers, 1.0, dict(values=numbers, different=wrong[:9])


def same_chips(swath, work, scenes):
    """Windows, pixels and labels, where a window lies inside its scene."""
    burn(scenes)
    theirs = Pipeline(work / "theirs", scenes, labels=LABELS)
    theirs.run("chip")
    keys = dict(scenes__0__group="train", scenes__0__labels=LABELS)
    swath.run(scenes[0].parent, work / "ours", "survey", "chip", **keys)
    ours, chips = _shards(work / "ours"), _chips(only(theirs.root, "chip/*.zip"))
    same = total = 0
    for (image, label), (wanted_image, wanted_label) in zip(ours, chips):
        inside = label != 255
        total += inside.size
        same += (inside & (label == wanted_label) & (image == wanted_image).all(axis=2)).sum() + (~inside).sum()
    alike = len(ours) == len(chips)
    yield "same-chips", same / total if alike else 0.0, 1.0, dict(chips=len(chips), pixels=total)


def imported(swath, work, scenes):
    """The class of each pixel by a bundle of Raster Vision's own DeepLabV3, and by what Swath has made of the bundle: for
    chips that the network sees as they are, and for its default, which resizes them."""
    weights = work / "weights.pth"
    draw_deeplab(scenes[0], weights)
    burn(scenes)
    for chip_sz, img_sz in (256, 256), (300, 300), (300, 256):
        what = f"import-chip-{chip_sz}-img-{img_sz}"
        theirs = Pipeline(work / what, scenes[:1], scenes[:1], LABELS, None, weights, chip_sz=chip_sz, img_sz=img_sz)
        theirs.run("predict")
        theirs.run("bundle")
        ours, found = work / f"{what}.zip", work / f"{what}.tif"
        swath.command("import", "raster-vision", theirs.root / "bundle/model-bundle.zip", ours)
        swath.command("predict", ours, f"{scenes[0]}.tif", found, "--workers", 1)
        left, right = _pixels(found), _pixels(theirs.labels(scenes[0].name))
        different = int((left != right).sum())
        more = dict(pixels=left.size, different=different, buildings=float(right.mean()))
        yield what, 1 - different / left.size, 0.999, more


def draw_deeplab(scene, path, seed=7):
    """Weights from a seed, whose batch norms know the scene, and whose last layer is moved and scaled until both classes
    are common."""
    import rasterio
    import torch
    import torchvision

    torch.manual_seed(seed)
    build = torchvision.models.segmentation.deeplabv3_resnet50
    network = build(weights=None, weights_backbone=None, num_classes=2, aux_loss=False)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
            layer.reset_running_stats()
    with rasterio.open(f"{scene}.tif") as image, torch.inference_mode():
        corners = [(row, col) for row in (256, 512) for col in (256, 512)]
        windows = [image.read(window=((row, row + 256), (col, col + 256))) for row, col in corners]
        windows = torch.stack([torch.from_numpy(window) for window in windows]).float().div(255)
        network.train()(windows)
        background, building = network.eval()(windows)["out"].unbind(1)
        margin = building - background
        network.classifier[-1].bias[0] += margin.median()
        for of_head in network.classifier[-1].parameters():
            of_head /= margin.std()
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)


def draw_weights(scene, path, seed=7):
    """Weights from a seed. The last layer is moved and scaled until both classes are common and as far apart as
    training leaves them: drawn ones differ by less than single precision tells apart after a softmax."""
    sys.path.insert(0, str(MODEL))
    import hubconf
    import rasterio
    import torch

    torch.manual_seed(seed)
    network = hubconf.unet_resnet18(num_classes=2).eval()
    with rasterio.open(f"{scene}.tif") as image, torch.inference_mode():
        window = torch.from_numpy(image.read(window=((256, 768), (256, 768)))).float().div(255).unsqueeze(0)
        background, building = network(window)[0]
        margin = building - background
        network.head.bias[0] += margin.median()
        for of_head in network.head.parameters():
            of_head /= margin.std()
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)


def weights_of_bundle(bundle, path):
    """The weights of one of Swath's bundles, as PyTorch saves them: their names are the same."""
    import numpy
    import torch

    with zipfile.ZipFile(bundle) as members:
        raw = members.read("weights.safetensors")
    start = 8 + int.from_bytes(raw[:8], "little")
    tensors = json.loads(raw[8:start])
    tensors.pop("__metadata__", None)
    values = {
        name: numpy.frombuffer(raw, "<f4", math.prod(about["shape"]), start + about["data_offsets"][0])
        for name, about in tensors.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({name: torch.from_numpy(values[name].reshape(tensors[name]["shape"]).copy()) for name in values}, path)
    return path


def burn(scenes):
    """Rasters of the scenes' labels."""
    import rasterio
    from rasterio.features import rasterize
    from rasterio.warp import transform_geom

    for scene in scenes:
        path = scene.parent / LABELS.format(id=scene.name)
        path.parent.mkdir(exist_ok=True)
        shapes = [feature["geometry"] for feature in json.loads(Path(f"{scene}.geojson").read_text())["features"]]
        with rasterio.open(f"{scene}.tif") as image:
            shapes = transform_geom("EPSG:4326", image.crs, shapes)
            classes = rasterize(shapes, out_shape=image.shape, transform=image.transform, dtype="uint8")
            about = dict(driver="GTiff", dtype="uint8", count=1, width=image.width, height=image.height)
            with rasterio.open(path, "w", crs=image.crs, transform=image.transform, **about) as raster:
                raster.write(classes, 1)


def _pixels(path):
    import rasterio

    with rasterio.open(path) as raster:
        return raster.read(1)


def _differences(wanted, found, at=""):
    """Places whose value is another, or missing. What is found beyond that is allowed."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            yield from _differences(value, found[key], f"{at}/{key}") if key in found else [f"{at}/{key} is missing"]
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for number, values in enumerate(zip(wanted, found)):
            yield from _differences(*values, f"{at}/{number}")
    elif not _alike(wanted, found):
        yield f"{at}: {found} for {wanted}"


def _alike(wanted, found):
    # What divides by nothing is NaN there, which is no JSON, and null here.
    if isinstance(wanted, float) and math.isnan(wanted):
        return found is None
    if isinstance(wanted, (int, float)) and isinstance(found, (int, float)):
        return math.isclose(wanted, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return wanted == found


def _count(values):
    """Values that are neither lists nor tables."""
    inner = values.values() if isinstance(values, dict) else values if isinstance(values, list) else None
    return 1 if inner is None else sum(map(_count, inner))


def _picture(bytes):
    import numpy
    from PIL import Image

    return numpy.asarray(Image.open(io.BytesIO(bytes)))


def _shards(root):
    """(image, label) of each chip, scene by scene and row by row."""
    chips = {}
    for path in root.glob("chips/*/*.tar"):
        with tarfile.open(path) as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar}
        for name in (name for name in members if name.endswith(".json")):
            about, stem = json.loads(members[name]), name.removesuffix(".json")
            place = about["scene"], about["window"]["row"], about["window"]["col"]
            chips[place] = _picture(members[f"{stem}.img.png"]), _picture(members[f"{stem}.label.png"])
    return [chips[place] for place in sorted(chips)]


def _chips(path):
    """The same of Raster Vision's file, in which chips have numbers."""
    with zipfile.ZipFile(path) as file:
        numbers = sorted(int(name.split("/")[-1].split(".")[0]) for name in file.namelist() if "/img/" in name)
        read = lambda what, number: _picture(file.read(f"train/{what}/{number}.png"))
        return [(read("img", number), read("labels", number)) for number in numbers]


ALL = {"same-maps": same_maps, "same-chips": same_chips, "import": imported}
