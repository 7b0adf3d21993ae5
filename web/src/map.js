// A scene as a map in its own pixels: columns to the right, rows downwards, no projection.

import L from "leaflet";
import "leaflet/dist/leaflet.css";

const TILE = 256;
/** How far one may go beyond the scene's own pixels. */
const BEYOND = 4;

/** `levels`: how often the scene is halved until it is one tile. */
export function sceneMap(box, { width, height }, levels) {
  const finest = levels - 1;
  const scale = 1 / 2 ** finest;
  const crs = L.extend({}, L.CRS.Simple, { transformation: new L.Transformation(scale, 0, scale, 0) });
  const bounds = L.latLngBounds([0, 0], [height, width]);
  const map = L.map(box, {
    crs,
    minZoom: -1,
    maxZoom: finest + BEYOND,
    zoomSnap: 0.25,
    zoomDelta: 1,
    wheelPxPerZoomLevel: 120,
    attributionControl: false,
    maxBounds: bounds.pad(0.5),
    maxBoundsViscosity: 0.8,
  });
  map.zoomControl.setPosition("topright");
  const fit = () => map.fitBounds(bounds, { animate: false });
  fit();
  return { map, bounds, fit, layer: (url, options) => new Tiles(url, { finest, bounds, ...options }).addTo(map) };
}

/** Level 0 are the scene's own pixels; a tile at its edge is smaller than the others and stays so. */
const Tiles = L.TileLayer.extend({
  initialize(url, options) {
    L.TileLayer.prototype.initialize.call(this, url, { tileSize: TILE, minNativeZoom: 0, maxNativeZoom: options.finest, minZoom: -1, maxZoom: options.finest + BEYOND, noWrap: true, ...options });
    this.on("tileload", ({ tile }) => {
      const part = this.getTileSize().x / TILE;
      tile.style.width = `${tile.naturalWidth * part}px`;
      tile.style.height = `${tile.naturalHeight * part}px`;
    });
  },
  getTileUrl({ x, y, z }) {
    return `${this._url}/${this.options.finest - z}/${x}/${y}`;
  },
});

/** Moves both together. */
export function together(one, other) {
  let moving = false;
  const follow = (from, to) => () => {
    if (moving) return;
    moving = true;
    to.setView(from.getCenter(), from.getZoom(), { animate: false });
    moving = false;
  };
  one.on("move", follow(one, other));
  other.on("move", follow(other, one));
}

/** The grid of a scene's parts, each outlined in the colour of its state. */
export function gridOf(map, { cols, rows, first }, item, size, cells, colors) {
  const group = L.layerGroup();
  const renderer = L.canvas({ padding: 0.5 });
  const rects = [];
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) {
      const corners = [[row * item, col * item], [Math.min(size.height, (row + 1) * item), Math.min(size.width, (col + 1) * item)]];
      rects.push(L.rectangle(corners, { renderer, weight: 1, fill: true, interactive: false }).addTo(group));
    }
  }
  const paint = (now, palette) => {
    rects.forEach((rect, at) => {
      const state = now[first + at] ?? 0;
      rect.setStyle({ color: palette[state].css, opacity: state === 2 ? 0.35 : 0.9, fillColor: palette[state].css, fillOpacity: state === 2 ? 0 : state === 0 ? 0.12 : 0.3 });
    });
  };
  paint(cells, colors);
  return { group, paint };
}
