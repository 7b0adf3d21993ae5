"""The numbers of each other's eval.json, for the same rasters of labels and predictions: both are drawn here.

Where both count otherwise, it is known which pixels and why: those are taken out of Raster Vision's table, and then every
number has to be the same, overall, of each scene and of each average. `unlike` says how many numbers differ as it is.
"""

import json
from pathlib import Path

from checks import _count, _differences, _pixels
from swath import forget, only

NAMES = "water", "road", "ground", "tree", "roof"
COLORS = "#0000ff", "#808080", "#a08040", "#008000", "#ff8800"
# What neither knows as a class.
IGNORED, NODATA = 9, 255
# Of the area of interest and of boxes: columns and rows, from and to.
AOI_PX = (200, 1100, 150, 1290)
BOXES_PX = {
    "water": (0, 400, 0, 300), "road": (300, 1500, 640, 700), "tree": (900, 1210, 800, 1100), "roof": (400, 460, 40, 90),
}

IGNORE, BLANK = {"labels": f"ignore = [{IGNORED}]"}, {"predict": f"nodata = {NODATA}"}
# For each case: the null class, keys of the pipeline, and why some pixels count otherwise there.
CASES = {
    "classes": ("ground", {}, None),
    "classes-first-null": ("water", {}, None),
    "ignored": ("ground", IGNORE, "a label that is no class is of class 0 there, and ignored here"),
    "nodata": ("ground", BLANK, "a predicted pixel that is no class is of class 0 there, and of the null class here"),
    "nodata-first-null": ("water", BLANK, None),
    "aoi": ("ground", {}, "outside of the area both are of the null class there, and ignored here"),
    "vectors": ("ground", {}, None),
    "all": ("ground", {**IGNORE, **BLANK}, "all of the above"),
}


def same_eval(swath, work, scenes):
    for number, (case, (null, keys, why)) in enumerate(CASES.items()):
        folder = work / case
        folder.mkdir(parents=True)
        drawn = [_draw(folder, scene, case, 10 * number + nth) for nth, scene in enumerate(scenes)]
        ours = _ours(swath, folder, drawn, null, keys)
        as_it_is, mended = _theirs(folder, drawn, null)
        unlike, wrong = list(_differences(as_it_is, ours)), list(_differences(mended, ours))
        if bool(unlike) != bool(why):
            wrong.append(f"{len(unlike)} numbers differ as it is, where the reason is: {why}")
        numbers = _count(mended)
        more = dict(values=numbers, unlike=len(unlike), why=why, different=wrong[:9])
        yield f"eval-{case}", 1 - min(len(wrong), numbers) / numbers, 1.0, more


def _draw(folder, scene, case, seed):
    """Labels and predictions of a scene: mostly of one mind, with a class that is never labelled ("road", but for vectors)
    and one that is never found ("tree")."""
    import numpy
    import rasterio

    draw = numpy.random.default_rng(seed)
    with rasterio.open(f"{scene}.tif") as image:
        shape, place = image.shape, dict(crs=image.crs, transform=image.transform)
    # In squares, so that a map packs well.
    squares = tuple(edge // 10 + 1 for edge in shape)
    truth, noise = draw.choice([0, 2, 3, 4], squares), draw.choice([0, 1, 2, 4], squares)
    drawn = (numpy.kron(small, numpy.ones((10, 10))).astype("uint8") for small in (truth, noise))
    truth, noise = (large[: shape[0], : shape[1]] for large in drawn)
    if case == "vectors":
        truth[:] = NAMES.index("ground")
        for name, (left, right, top, bottom) in BOXES_PX.items():
            truth[top:bottom, left:right] = NAMES.index(name)
    guess = numpy.where((draw.random(shape) < 0.7) & (truth != 3), truth, noise).astype("uint8")
    if case in ("ignored", "all"):
        truth[draw.random(shape) < 0.05] = IGNORED
    if "nodata" in case or case == "all":
        guess[draw.random(shape) < 0.1] = NODATA
    made = dict(id=scene.name, image=f"{scene}.tif", truth=truth, guess=guess, place=place, aoi=None)
    made["labels"] = folder / f"{scene.name}-labels.tif"
    _write(made["labels"], truth, place)
    if case == "vectors":
        made["labels"] = _boxes(folder / f"{scene.name}-labels.geojson", BOXES_PX, place)
    if case in ("aoi", "all"):
        made["aoi"] = _boxes(folder / f"{scene.name}-aoi.geojson", {"": AOI_PX}, place)
    return made


def _write(path, pixels, place):
    import rasterio

    height, width = pixels.shape
    about = dict(driver="GTiff", dtype="uint8", count=1, width=width, height=height)
    with rasterio.open(path, "w", **about, **place) as raster:
        raster.write(pixels, 1)


def _boxes(path, boxes, place):
    """Boxes a quarter of a pixel beside pixels' corners, which Raster Vision cuts off: they hold the same centres so."""
    from rasterio.warp import transform_geom

    features = []
    for name, (left, right, top, bottom) in boxes.items():
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        ring = [list(place["transform"] * (col + 0.25, row + 0.25)) for col, row in corners]
        geometry = transform_geom(place["crs"], "EPSG:4326", dict(type="Polygon", coordinates=[ring]))
        features.append(dict(type="Feature", properties=dict(class_name=name), geometry=geometry))
    path.write_text(json.dumps(dict(type="FeatureCollection", features=features)))
    return path


def _ours(swath, folder, drawn, null, keys):
    """Its maps are replaced before it evaluates them."""
    text = 'name = "eval"\n'
    for scene in drawn:
        aoi = f'aoi = "{scene["aoi"]}"\n' if scene["aoi"] else ""
        text += f'[[scenes]]\nid = "{scene["id"]}"\nimage = "{scene["image"]}"\nlabels = "{scene["labels"]}"\n{aoi}'
    for name, color in zip(NAMES, COLORS):
        text += f'[[classes]]\nname = "{name}"\ncolor = "{color}"\n' + ("null = true\n" if name == null else "")
    text += '[model]\narchitecture = "tiny"\nseed = 1\n[predict]\ncore_px = 256\nmargin_px = 0\n' + keys.get("predict", "")
    text += f'\n[labels]\n{keys.get("labels", "")}\n'
    (folder / "pipeline.toml").write_text(text)
    root, stages = folder / "ours", ("survey", "predict", "assemble", "eval")
    swath.run(folder, root, *stages)
    for scene in drawn:
        _write(only(root, f"predict/*/{scene['id']}.tif"), scene["guess"], scene["place"])
    forget(root, "eval")
    swath.run(folder, root, *stages)
    return json.loads(only(root, "eval/*/eval.json").read_text())


def _theirs(folder, drawn, null):
    """What its evaluator writes of these files; and the same without the pixels that count otherwise there."""
    from rastervision.pipeline import rv_config_
    rv_config_.set_everett_config()
    from rastervision.core import data
    from rastervision.core.evaluation import SemanticSegmentationEvaluation, SemanticSegmentationEvaluator

    classes = data.ClassConfig(names=list(NAMES), colors=list(COLORS), null_class=null)

    def built(scene):
        root = folder / "theirs" / scene["id"]
        root.mkdir(parents=True, exist_ok=True)
        _write(root / "labels.tif", scene["guess"], scene["place"])
        if scene["labels"].suffix == ".tif":
            labels = data.RasterioSourceConfig(uris=[str(scene["labels"])])
        else:
            infer = data.ClassInferenceTransformerConfig(default_class_id=None)
            vectors = data.GeoJSONVectorSourceConfig(uris=[str(scene["labels"])], transformers=[infer])
            burn = data.RasterizerConfig(background_class_id=NAMES.index(null))
            labels = data.RasterizedSourceConfig(vector_source=vectors, rasterizer_config=burn)
        config = data.SceneConfig(
            id=scene["id"], raster_source=data.RasterioSourceConfig(uris=[scene["image"]]),
            label_source=data.SemanticSegmentationLabelSourceConfig(raster_source=labels),
            label_store=data.SemanticSegmentationLabelStoreConfig(uri=str(root)),
            aoi_uris=[str(scene["aoi"])] if scene["aoi"] else [])
        return config.build(classes, str(folder))

    output = folder / "theirs/eval.json"
    evaluator = SemanticSegmentationEvaluator(classes, str(output))
    evaluator.process([built(scene) for scene in drawn], str(folder))
    mended = SemanticSegmentationEvaluation(classes)
    for scene in drawn:
        evaluation = evaluator.evaluate_scene(built(scene))
        _mend(evaluation, scene, NAMES.index(null))
        mended.merge(evaluation, scene_id=scene["id"])
    mended.save(str(folder / "theirs/mended.json"))
    return (json.loads(Path(file).read_text()) for file in (output, folder / "theirs/mended.json"))


def _mend(evaluation, scene, null):
    """Moves what counts otherwise: of the area of interest, of labels and predictions that are no class."""
    import numpy

    truth, guess = scene["truth"], scene["guess"]
    inside = numpy.ones(truth.shape, bool)
    if scene["aoi"]:
        left, right, top, bottom = AOI_PX
        inside[:] = False
        inside[top:bottom, left:right] = True
    counted = inside & (truth != IGNORED)
    table = evaluation.conf_mat.copy()
    table[null, null] -= (~inside).sum()
    lost, missing = inside & (truth == IGNORED), guess == NODATA
    seen = numpy.where(missing, 0, guess)
    for found in range(len(NAMES)):
        table[0, found] -= (lost & (seen == found)).sum()
    for true in range(len(NAMES)):
        moved = (counted & missing & (truth == true)).sum()
        table[true, 0] -= moved
        table[true, null] += moved
    assert table.sum() == counted.sum() and (table >= 0).all()
    for class_id, item in evaluation.class_to_eval_item.items():
        evaluation.class_to_eval_item[class_id] = type(item).from_multiclass_conf_mat(table, class_id, item.class_name)
    evaluation.conf_mat = table
    evaluation.compute_avg()


def polygons(swath, work, scenes):
    """What is left where labels are polygons of any shape: their corners' fractions. A share of pixels, and how far the F1s
    are apart."""
    import checks
    from raster_vision import Pipeline

    keys = dict(model__architecture="tiny", model__seed=1)
    root, stages = work / "ours", ("survey", "predict", "assemble", "eval")
    swath.run(scenes[0].parent, root, *stages, **keys)
    theirs = Pipeline(work / "theirs", scenes, scenes)
    checks.burn(scenes)
    for scene in scenes:
        truth = _pixels(scene.parent / checks.LABELS.format(id=scene.name))
        place = _place(f"{scene}.tif")
        # Right but for a band of columns: so each class has hits and misses.
        truth[:, 100:200] = 1
        for file in (only(root, f"predict/*/{scene.name}.tif"), theirs.labels(scene.name)):
            file.parent.mkdir(parents=True, exist_ok=True)
            _write(file, truth, place)
    forget(root, "eval")
    swath.run(scenes[0].parent, root, *stages, **keys)
    theirs.run("eval")
    ours = json.loads(only(root, "eval/*/eval.json").read_text())["overall"]
    wanted = json.loads(only(theirs.root, "eval/**/eval.json").read_text())["overall"]
    total = sum(map(sum, ours[-1]["conf_mat"]))
    cells = zip(sum(ours[-1]["conf_mat"], []), sum(wanted[-1]["conf_mat"], []))
    moved = sum(abs(one - other) for one, other in cells) / 2
    apart = max(abs(one["metrics"]["f1"] - other["metrics"]["f1"]) for one, other in zip(ours, wanted))
    why = "corners of polygons lose their fractions there"
    yield "eval-polygons", 1 - moved / total, 0.99, dict(pixels=total, different=moved, f1_apart=round(apart, 6), why=why)


def _place(path):
    import rasterio

    with rasterio.open(path) as image:
        return dict(crs=image.crs, transform=image.transform)


def compare(swath, work, scenes):
    yield from same_eval(swath, work, scenes)
    yield from polygons(swath, work / "polygons", scenes)
