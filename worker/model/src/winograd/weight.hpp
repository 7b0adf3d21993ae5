// Weights as products take them, and their gradient.

#pragma once

#include "lanes.hpp"

namespace swath::winograd {
namespace {

// Where the columns of a channel that is given begin: as many side by side as a product takes at once.
inline int64_t columns_at(int64_t channel, int64_t from, int64_t to, int64_t taken) {
  const int64_t first = channel / COLUMNS * COLUMNS, width = least(COLUMNS, to - first);
  return first * from + taken * width + channel - first;
}

void pack(const float* weight, const Strides& strides, int64_t from, int64_t to, bool back, int64_t first_channel,
          int64_t end_channel, float* packed) {
  // Back, what was taken is given, and what was to the right is to the left.
  const int64_t given = strides[back ? 1 : 0], taken = strides[back ? 0 : 1];
  for (int64_t channel = first_channel; channel < end_channel; channel += LANES)
    for (int64_t other = 0; other < from; other++) {
      const float* first = weight + channel * given + other * taken;
      float* into = packed + columns_at(channel, from, to, other);
      transform<3, SEEN>(
          weigh,
          [&](int64_t row, int64_t column) {
            if (back) row = 2 - row, column = 2 - column;
            const float* at = first + row * strides[2] + column * strides[3];
            Lanes value;
            for (int64_t lane = 0; lane < LANES; lane++) value[lane] = at[lane * given];
            return value;
          },
          [&](int64_t row, int64_t column, Lanes value) { store(into + (row * SEEN + column) * from * to, value); });
    }
}

void take_gradient(const Shape& shape, const float* gradient, int64_t first, int64_t n, int64_t room, float* taken) {
  const Tiles tiles(shape);
  for (int64_t tile = 0; tile < n; tile++) {
    const Pixels<EDGE> pixels(shape, gradient, shape.to, Place(shape, tiles, first + tile), 0);
    for (int64_t channel = 0; channel < shape.to; channel += LANES)
      transform<EDGE, SEEN>(
          give_back,
          [&](int64_t row, int64_t column) {
            const float* pixel = pixels.at[row][column];
            return pixel ? load(pixel + channel) : Lanes{};
          },
          [&](int64_t row, int64_t column, Lanes value) {
            store(taken + ((row * SEEN + column) * room + tile) * shape.to + channel, value);
          });
  }
}

// `SUMMED_ROWS` channels that are taken by `WIDTH` registers of channels that are given. Summed up from nothing, and then
// added: one long chain of sums would be rounded more.
template <int64_t WIDTH>
inline void add_products(const float* input, int64_t from, const float* gradient, int64_t to, int64_t n, float* sums) {
  Lanes values[SUMMED_ROWS][WIDTH] = {};
  for (int64_t tile = 0; tile < n; tile++) {
    Lanes columns[WIDTH];
    for (int64_t i = 0; i < WIDTH; i++) columns[i] = load(gradient + tile * to + i * LANES);
#pragma GCC unroll 8
    for (int64_t row = 0; row < SUMMED_ROWS; row++)
      for (int64_t i = 0; i < WIDTH; i++) values[row][i] += all(input[tile * from + row]) * columns[i];
  }
  for (int64_t row = 0; row < SUMMED_ROWS; row++)
    for (int64_t i = 0; i < WIDTH; i++) {
      float* at = sums + row * to + i * LANES;
      store(at, load(at) + values[row][i]);
    }
}

void sum(const Shape& shape, const float* input, const float* gradient, int64_t n, float* sums) {
  const int64_t from = shape.from, to = shape.to;
  for (int64_t column = 0; column < to; column += COLUMNS)
    for (int64_t row = 0; row < from; row += SUMMED_ROWS) {
      float* into = sums + row * to + column;
      if (to - column >= COLUMNS)
        add_products<2>(input + row, from, gradient + column, to, n, into);
      else
        add_products<1>(input + row, from, gradient + column, to, n, into);
    }
}

void unpack(const float* sums, int64_t from, int64_t to, const Strides& strides, float* gradient) {
  for (int64_t other = 0; other < from; other++)
    for (int64_t channel = 0; channel < to; channel += LANES) {
      float* first = gradient + channel * strides[0] + other * strides[1];
      transform<SEEN, 3>(
          weigh_back,
          [&](int64_t row, int64_t column) {
            return load(sums + ((row * SEEN + column) * from + other) * to + channel);
          },
          [&](int64_t row, int64_t column, Lanes value) {
            float* at = first + row * strides[2] + column * strides[3];
            for (int64_t lane = 0; lane < LANES; lane++) at[lane * strides[0]] = value[lane];
          });
    }
}

}  // namespace
}  // namespace swath::winograd
