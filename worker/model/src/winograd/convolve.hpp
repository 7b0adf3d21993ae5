// From images to images.

#pragma once

#include "lanes.hpp"

namespace swath::winograd {
namespace {

void take_input(const Shape& shape, const float* input, int64_t first, int64_t n, int64_t room, float* taken) {
  const Tiles tiles(shape);
  for (int64_t tile = 0; tile < n; tile++) {
    const Pixels<SEEN> pixels(shape, input, shape.from, Place(shape, tiles, first + tile), 1);
    for (int64_t channel = 0; channel < shape.from; channel += LANES)
      transform<SEEN, SEEN>(
          see,
          [&](int64_t row, int64_t column) {
            const float* pixel = pixels.at[row][column];
            return pixel ? load(pixel + channel) : Lanes{};
          },
          [&](int64_t row, int64_t column, Lanes value) {
            store(taken + ((row * SEEN + column) * room + tile) * shape.from + channel, value);
          });
  }
}

// Of each of `ROWS` tiles the sums over channels with `WIDTH` registers of columns.
template <int64_t WIDTH>
inline void multiply(const float* tiles, int64_t from, const float* weights, float* products, int64_t to) {
  Lanes sums[ROWS][WIDTH] = {};
  for (int64_t channel = 0; channel < from; channel++) {
    Lanes columns[WIDTH];
    for (int64_t i = 0; i < WIDTH; i++) columns[i] = load(weights + (channel * WIDTH + i) * LANES);
#pragma GCC unroll 12
    for (int64_t row = 0; row < ROWS; row++)
      for (int64_t i = 0; i < WIDTH; i++) sums[row][i] += all(tiles[row * from + channel]) * columns[i];
  }
  for (int64_t row = 0; row < ROWS; row++)
    for (int64_t i = 0; i < WIDTH; i++) store(products + row * to + i * LANES, sums[row][i]);
}

// What is left of one image row of a tile, from a pixel on.
inline int64_t within(int64_t size, int64_t at, int64_t dilation) {
  return at >= size ? 0 : least(EDGE, quotient_up(size - at, dilation));
}

void give_output(const Shape& shape, const float* products, int64_t room, const float* bias, bool relu, int64_t first,
                 int64_t n, float* output) {
  const Tiles tiles(shape);
  for (int64_t tile = 0; tile < n; tile++) {
    const Place place(shape, tiles, first + tile);
    float* image = output + place.image * shape.height * shape.width * shape.to;
    const int64_t rows = within(shape.height, place.y, shape.dilation);
    const int64_t columns = within(shape.width, place.x, shape.dilation);
    for (int64_t channel = 0; channel < shape.to; channel += LANES) {
      const Lanes shift = bias ? load(bias + channel) : Lanes{};
      transform<SEEN, EDGE>(
          give,
          [&](int64_t row, int64_t column) {
            return load(products + ((row * SEEN + column) * room + tile) * shape.to + channel);
          },
          [&](int64_t row, int64_t column, Lanes value) {
            if (row >= rows || column >= columns) return;
            value += shift;
            if (relu) value = value < 0 ? Lanes{} : value;  // What is no number stays none.
            const int64_t y = place.y + row * shape.dilation, x = place.x + column * shape.dilation;
            store(image + (y * shape.width + x) * shape.to + channel, value);
          });
    }
  }
}

int64_t n_tiles(const Shape& shape) { return Tiles(shape).all; }

int64_t blocks(const Shape& shape) {
  const Tiles tiles(shape);
  return quotient_up(tiles.all, tiles.block);
}

int64_t scratch(const Shape& shape) { return POINTS * Tiles(shape).block * (shape.from + shape.to); }

void convolve(const Shape& shape, const float* input, const float* packed, const float* bias, bool relu, float* output,
              int64_t first_block, int64_t end_block, float* scratch) {
  const Tiles tiles(shape);
  const int64_t room = tiles.block, from = shape.from, to = shape.to;
  float* products = scratch + POINTS * room * from;
  for (int64_t block = first_block; block < end_block; block++) {
    const int64_t first = block * room, n = least(room, tiles.all - first);
    take_input(shape, input, first, n, room, scratch);
    for (int64_t point = 0; point < POINTS; point++)
      for (int64_t column = 0; column < to; column += COLUMNS)
        // Rows of the last product that are no tiles are whatever lay there, and never given.
        for (int64_t row = 0; row < n; row += ROWS) {
          const float* weights = packed + (point * to + column) * from;
          const float* taken = scratch + (point * room + row) * from;
          float* into = products + (point * room + row) * to + column;
          if (to - column >= COLUMNS)
            multiply<2>(taken, from, weights, into, to);
          else
            multiply<1>(taken, from, weights, into, to);
        }
    give_output(shape, products, room, bias, relu, first, n, output);
  }
}

}  // namespace
}  // namespace swath::winograd
