"""Files of a run, read with what others read them with: as docs/shard-format.md, docs/vectors.md and
docs/bundle-format.md say. `readers.py SHARDS VECTORS BUNDLE EVAL` ends with a line of what was found."""

import collections, glob, io, json, os, sys, zipfile

import geopandas, numpy, PIL.Image, png, pyarrow.parquet, safetensors.numpy, webdataset

shards, vectors, bundle, scores = sys.argv[1:]


def image(sample, shape):
    """Pixels by (row, column, band), decoded by what can tell 16 bits from 8."""
    if "img.npy" in sample:
        return numpy.load(io.BytesIO(sample["img.npy"]), allow_pickle=False)
    if shape["samples"] == "uint16":
        width, height, rows, info = png.Reader(bytes=sample["img.png"]).read()
        assert info["bitdepth"] == 16, info
        pixels = numpy.vstack([numpy.asarray(row, "<u2") for row in rows])
        return pixels.reshape(height, width, info["planes"])
    pixels = numpy.array(PIL.Image.open(io.BytesIO(sample["img.png"])))
    return pixels.reshape(*pixels.shape[:2], -1)


def chips(tar):
    """Every chip through webdataset, held against the index beside the tar."""
    index = json.load(open(tar.replace(".tar", ".idx")))
    assert index["tar_len"] == os.path.getsize(tar)
    samples = list(webdataset.WebDataset(tar, shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == [chip["key"] for chip in index["chips"]]
    raw = open(tar, "rb").read()
    for sample, chip in zip(samples, index["chips"]):
        about, shape = json.loads(sample["json"]), chip["shape"]
        assert about["version"] == "1" and about["image"] == shape
        window = about["window"]
        key = f"{about['scene']}/x{window['col']}_y{window['row']}_{window['width']}x{window['height']}"
        assert sample["__key__"].startswith(key), key
        pixels = image(sample, shape)
        assert pixels.shape == (shape["height"], shape["width"], shape["bands"]), pixels.shape
        assert pixels.dtype == numpy.dtype(shape["samples"]), pixels.dtype
        labels = numpy.array(PIL.Image.open(io.BytesIO(sample["label.png"])))
        assert labels.shape == pixels.shape[:2] and labels.dtype == numpy.uint8
        counts = {str(value): int(n) for value, n in zip(*numpy.unique(labels, return_counts=True))}
        assert counts == chip["counts"] == about["counts"], (counts, chip)
        # The index by itself is enough to read any member.
        names = {"image": "img.npy" if "img.npy" in sample else "img.png", "label": "label.png", "json": "json"}
        for member, name in names.items():
            at, length = chip[member]["at"], chip[member]["len"]
            assert raw[at : at + length] == sample[name], (member, name)
        yield sample["__key__"], pixels


keys, kinds = collections.Counter(), set()
for tar in sorted(glob.glob(f"{shards}/*.tar")):
    for key, pixels in chips(tar):
        keys[key] += 1
        kinds.add((str(pixels.dtype), pixels.shape[2]))
assert keys and set(keys.values()) == {1}, "a chip is there twice"

drawn = geopandas.read_file(f"{vectors}/polygons.geojson")
stored = geopandas.read_parquet(f"{vectors}/polygons.parquet")
for polygons in drawn, stored:
    columns = set(polygons.columns)
    assert columns - {"bbox"} == {"class_id", "class_name", "score", "area_m2", "geometry"}, columns
    assert polygons.crs.to_epsg() == 4326 or polygons.crs.to_string() == "OGC:CRS84", polygons.crs
    assert len(polygons) > 0 and set(polygons.geom_type) == {"Polygon"} and polygons.is_valid.all()
    assert polygons.score.between(0, 1).all() and (polygons.area_m2 > 0).all()
    assert polygons.geometry.exterior.is_ccw.all()
assert len(drawn) == len(stored)
# GeoJSON has so many decimals, and no more.
assert drawn.geometry.set_crs(stored.crs, allow_override=True).geom_equals_exact(stored.geometry, 1e-8).all()
for column in "class_id", "class_name":
    assert (drawn[column] == stored[column]).all(), column
for column, rounded in ("score", 1e-6), ("area_m2", 1e-4):
    assert numpy.allclose(drawn[column], stored[column], rtol=1e-6, atol=rounded), column
# Metres on the ellipsoid are metres in UTM, but for the scale of the projection and for simplification.
metres = stored.to_crs(stored.estimate_utm_crs()).area
assert numpy.isclose(metres.sum(), stored.area_m2.sum(), rtol=0.02), (metres.sum(), stored.area_m2.sum())
box = stored.geometry.iloc[0].bounds
part = geopandas.read_parquet(f"{vectors}/polygons.parquet", bbox=box)
assert 0 < len(part) <= len(stored) and part.intersects(stored.geometry.iloc[0]).any()
about = json.loads(pyarrow.parquet.read_schema(f"{vectors}/polygons.parquet").metadata[b"geo"])
assert about["version"] == "1.1.0" and about["primary_column"] == "geometry", about

with zipfile.ZipFile(bundle) as packed:
    assert packed.testzip() is None
    document = json.loads(packed.read("bundle.json"))
    weights = safetensors.numpy.load(packed.read("weights.safetensors"))
    evaluated = json.loads(packed.read("eval.json"))
model = document["model"]
classes = [one["name"] for one in model["classes"]]
assert document["version"] == "1" and all(numpy.isfinite(tensor).all() for tensor in weights.values())
assert weights["hidden.weight"].shape[1] == model["bands"], weights["hidden.weight"].shape
assert weights["head.bias"].shape == (len(classes),)

told = json.load(open(scores))
assert told == evaluated, "the bundle has other scores"
assert set(told) == {"overall", "per_scene"} and set(told["per_scene"]) == {"unseen"}
*each, average = told["overall"]
assert [one["class_name"] for one in each] == classes and average["class_name"] == "average"
table = numpy.array(average["conf_mat"])
for n, one in enumerate(each):
    hits, truth, found = table[n, n], table[n].sum(), table[:, n].sum()
    assert one["gt_count"] == truth and one["pred_count"] == found
    for name, whole in ("recall", truth), ("precision", found), ("iou", truth + found - hits):
        value = one["metrics"][name]
        assert value is None if whole == 0 else numpy.isclose(value, hits / whole), (name, value)
print(f"{len(keys)} chips of {len(kinds)} kinds, {len(stored)} polygons, {len(weights)} tensors")
