"""Fetches the building outlines of one tile from a WFS, as the LINZ Data Service has it.

Two layers are asked: one of tiles, which says where the tile lies, and one of outlines, which is read page by page. What
fails for a moment is asked again. The key stands in LDS_API_KEY, is a part of every address, and is never shown.
"""

import argparse
import json
import os
import pathlib
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

PAGE = 1000
TRIES = 6
SECONDS = 60


class Service:
    def __init__(self, url, key, pause):
        self.url = f"{url.rstrip('/')}/services;key={urllib.parse.quote(key, safe='')}/wfs"
        self.key = key
        self.pause = pause

    def features(self, layer, cql):
        """All features of a layer that a filter lets through, page by page; a service may give fewer than are asked for."""
        found, matched = {}, None
        while matched is None or len(found) < matched:
            page, told = self.page(layer, cql, len(found))
            matched = told if matched is None else matched
            if not page:
                break
            before = len(found)
            found.update((feature["id"], feature) for feature in page)
            if len(found) == before:
                sys.exit(f"layer {layer}: the service gives the same page again, so that the rest can't be read")
        if matched is not None and len(found) != matched:
            sys.exit(f"layer {layer}: the service has {matched} features, and has given {len(found)}")
        return list(found.values())

    def page(self, layer, cql, start):
        query = {
            "service": "WFS",
            "version": "2.0.0",
            "request": "GetFeature",
            "typeNames": f"layer-{layer}",
            "srsName": "EPSG:4326",
            "outputFormat": "json",
            "cql_filter": cql,
            "count": PAGE,
            "startIndex": start,
        }
        answer = self.get(f"{self.url}?{urllib.parse.urlencode(query)}")
        try:
            collection = json.loads(answer)
            features, matched = collection["features"], collection.get("numberMatched")
        except (ValueError, KeyError, TypeError, AttributeError):
            sys.exit(f"layer {layer}: the answer is no GeoJSON: {self.hidden(answer[:200].decode(errors='replace'))}")
        if any("id" not in feature for feature in features):
            sys.exit(f"layer {layer}: a feature has no id, so that pages can't be told apart")
        # "unknown" is a number of features, too.
        return features, matched if isinstance(matched, int) else None

    def get(self, address):
        for nth in range(1, TRIES + 1):
            try:
                with urllib.request.urlopen(address, timeout=SECONDS) as answer:
                    return answer.read()
            except urllib.error.HTTPError as error:
                why = f"{error.code} {error.reason}"
                # What is wrong with the question stays wrong.
                if error.code < 500 and error.code not in (408, 429):
                    hint = ": is LDS_API_KEY right?" if error.code in (401, 403) else ""
                    sys.exit(f"the service refuses: {self.hidden(why)}{hint}")
            except (OSError, ValueError) as error:
                why = str(error)
            if nth == TRIES:
                sys.exit(f"the service does not answer after {TRIES} tries: {self.hidden(why)}")
            time.sleep(self.pause * 2 ** (nth - 1))

    def hidden(self, text):
        return text.replace(self.key, "***").replace(urllib.parse.quote(self.key, safe=""), "***")


def quoted(text):
    """A string of CQL."""
    return "'" + text.replace("'", "''") + "'"


def box(features, tile):
    """The tile's outer ring, as text of a filter; the service wants latitude first in EPSG:4326."""
    if len(features) != 1:
        sys.exit(f"there are {len(features)} tiles called {tile}, and not one")
    geometry = features[0]["geometry"]
    polygon = geometry["coordinates"][0] if geometry["type"] == "MultiPolygon" else geometry["coordinates"]
    return "POLYGON((" + ",".join(f"{y:.9f} {x:.9f}" for x, y, *_ in polygon[0]) + "))"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="https://data.linz.govt.nz")
    parser.add_argument("--tile-layer", default="104691", help="layer of index tiles")
    parser.add_argument("--tile-field", default="index_tile_id", help="its field of tile names")
    parser.add_argument("--outline-layer", default="101292", help="layer of building outlines")
    parser.add_argument("--source", default="", help="only outlines that were captured from this imagery")
    parser.add_argument("--tile", required=True, help="a tile's name; _TRAIN and _VAL at its end are no part of it")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="the GeoJSON file to write")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds before the second try; doubled with each")
    args = parser.parse_args()

    key = os.environ.get("LDS_API_KEY", "")
    if not key:
        sys.exit("LDS_API_KEY is not set: it holds the key of the data service")
    tile = re.sub(r"_(TRAIN|VAL|TEST)$", "", args.tile)
    service = Service(args.url, key, args.pause)
    border = box(service.features(args.tile_layer, f"{args.tile_field}={quoted(tile)}"), tile)
    cql = f"intersects(shape,{border})"
    if args.source:
        cql = f"capture_source_name={quoted(args.source)} AND {cql}"
    outlines = service.features(args.outline_layer, cql)
    args.output.write_text(json.dumps({"type": "FeatureCollection", "features": outlines}))
    print(f"{tile}: {len(outlines)} outlines")


if __name__ == "__main__":
    main()
