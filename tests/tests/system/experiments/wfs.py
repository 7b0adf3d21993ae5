"""A stand-in for the LINZ Data Service: two layers, of which it gives three features at a time. Every first question it
refuses for a moment.

It prints its port, then a line for each question that it has answered.
"""

import collections
import http.server
import json
import urllib.parse

KEY = "a key/of mine"
# Latitude first, as the service has EPSG:4326 in filters.
SQUARE = [[174.70, -36.90], [174.71, -36.90], [174.71, -36.89], [174.70, -36.89], [174.70, -36.90]]
BORDER = "POLYGON((" + ",".join(f"{y:.9f} {x:.9f}" for x, y in SQUARE) + "))"
N = 7
asked = collections.Counter()


def polygon(nth):
    x, y = 174.701 + nth * 0.001, -36.895
    return {"type": "Polygon", "coordinates": [[[x, y], [x + 5e-4, y], [x + 5e-4, y + 5e-4], [x, y + 5e-4], [x, y]]]}


def features(layer, cql):
    if layer == "layer-1":
        tiles = [{"type": "Feature", "id": "t.1", "geometry": {"type": "MultiPolygon", "coordinates": [[SQUARE]]}}]
        return tiles if cql in [f"index_tile_id='BG32_5K_{name}'" for name in ("0707", "0708", "0807", "0808")] else []
    wanted = f"capture_source_name='It''s 2017' AND intersects(shape,{BORDER})"
    if layer == "layer-2" and cql == wanted:
        return [
            {"type": "Feature", "id": f"o.{nth}", "properties": {"capture_source_name": "It's 2017"}, "geometry": polygon(nth)}
            for nth in range(N)
        ]
    return []


class Service(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path != f"/services;key={urllib.parse.quote(KEY, safe='')}/wfs":
            return self.answer(403, {})
        asked[url.query] += 1
        if asked[url.query] == 1:
            return self.answer(503, {})
        all_of_it = features(query["typeNames"], query["cql_filter"])
        start = int(query["startIndex"])
        page = all_of_it[start : start + min(3, int(query["count"]))]
        collection = {"type": "FeatureCollection", "numberMatched": len(all_of_it), "features": page}
        print(query["typeNames"], start, len(page), flush=True)
        return self.answer(200, collection)

    def answer(self, code, body):
        body = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
print(server.server_port, flush=True)
server.serve_forever()
