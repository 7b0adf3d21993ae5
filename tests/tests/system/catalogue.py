"""The STAC catalogue of a run, opened with pystac and held against the schemas of everything that it names, as docs/stac.md
says. `catalogue.py ROOT COLLECTION SCHEMAS` ends with a line of what was found. The schemas of extensions lie where their
authors' tests have recorded them, in the sources of pystac's packages."""

import gzip, hashlib, json, os, sys, tarfile

import jsonschema, pystac, referencing, referencing.jsonschema, yaml
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.mlm import MLMExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import RasterExtension
from pystac.validation.stac_validator import JsonSchemaSTACValidator

root, top, sources = sys.argv[1:]
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def recorded(folder):
    """Schemas by their address."""
    found = {}
    for name in sorted(os.listdir(folder)):
        with tarfile.open(os.path.join(folder, name)) as source:
            for member in source:
                if "/cassettes/" not in member.name or not member.name.endswith(".yaml"):
                    continue
                for call in yaml.load(source.extractfile(member), Loader)["interactions"]:
                    address, body = call["request"]["uri"], call["response"]["body"]["string"]
                    if not address.endswith("schema.json") or call["response"]["status"]["code"] != 200:
                        continue
                    if isinstance(body, bytes):
                        body = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
                    found[address] = json.loads(body)
    return found


schemas = recorded(sources)
draft = referencing.jsonschema.DRAFT7
# The model extension takes classes from a version that nobody has recorded; the next one asks for more.
older, newer = (f"https://stac-extensions.github.io/classification/v{of}/schema.json" for of in ("1.1.0", "2.0.0"))
schemas.setdefault(older, schemas[newer])
core = JsonSchemaSTACValidator()


def resource(address):
    if address.startswith("https://geojson.org/"):
        name = address.rsplit("/", 1)[1]
        path = os.path.join(os.path.dirname(pystac.__file__), "validation/jsonschemas/geojson", name)
        return draft.create_resource(json.load(open(path)))
    return draft.create_resource(schemas[address.split("#")[0]])


registry = referencing.Registry(retrieve=resource)


def check(document):
    kind = pystac.STACObjectType.ITEM if document["type"] == "Feature" else pystac.STACObjectType.COLLECTION
    core.validate_core(document, kind, document["stac_version"])
    for address in document["stac_extensions"]:
        jsonschema.Draft7Validator(schemas[address], registry=registry).validate(document)


def local(href):
    assert href.startswith(root + "/"), href
    return href


checked = assets = sums = 0
collection = pystac.Collection.from_file(top)
assert collection.get_self_href() == top
items = list(collection.get_items(recursive=True))
assert items, "a collection of nothing"
for thing in [collection, *items]:
    document = json.load(open(thing.get_self_href()))
    check(document)
    checked += 1
    for link in document["links"]:
        if link["rel"] in ("item", "root", "parent", "collection"):
            assert "://" not in link["href"] and not link["href"].startswith("/"), link
    for link in document["links"]:
        if link["rel"] == "derived_from" and "://" not in link["href"]:
            assert os.path.exists(os.path.join(os.path.dirname(thing.get_self_href()), link["href"])), link
    for name, asset in thing.assets.items():
        path = os.path.normpath(local(asset.get_absolute_href()))
        assert os.path.exists(path), path
        assets += 1
        about = asset.extra_fields
        if "file:size" in about:
            assert about["file:size"] == os.path.getsize(path), name
        if "file:checksum" in about:
            found = hashlib.sha256(open(path, "rb").read()).hexdigest()
            assert about["file:checksum"] == "1220" + found, name
            sums += 1

models = [item for item in items if MLMExtension.has_extension(item)]
scenes = [item for item in items if item not in models]
assert {item.get_collection().id for item in items} == {collection.id}
for item in models:
    model = MLMExtension.ext(item)
    assert item.geometry is None and item.bbox is None and model.tasks, item
    assert "mlm:model" in item.assets["bundle"].roles
    bands, [image] = item.properties["bands"], model.input
    assert [band["name"] for band in bands] == image.bands and image.input.shape[1] == len(bands)
for item in scenes:
    assert item.datetime is not None
    classes = item.assets["classes"]
    placed = ProjectionExtension.ext(classes)
    assert RasterExtension.ext(classes).bands[0].data_type == "uint8"
    told = ClassificationExtension.ext(classes).classes
    assert [one.value for one in told] == list(range(len(told))) and all(one.color_hint for one in told)
    if item.geometry is not None:
        assert item.properties["proj:code"].startswith("EPSG:") or item.properties["proj:projjson"]
        height, width = placed.shape
        left, bottom, right, top_ = placed.bbox
        a, b, x, d, e, y = placed.transform
        assert abs(x + a * width - right) < 1e-6 and abs(y + e * height - bottom) < 1e-6
        west, south, east, north = item.bbox
        assert -180 <= west <= 180 and -180 <= east <= 180 and south < north
        around = collection.extent.spatial.bboxes[0]
        assert around[1] <= south and north <= around[3], around
    assert any(link.rel == "derived_from" for link in item.links)
print(f"{checked} documents, {len(scenes)} scenes, {len(models)} models, {assets} assets, {sums} sums")
