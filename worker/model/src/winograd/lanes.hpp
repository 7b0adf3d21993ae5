// Numbers side by side in a register, and the tiles that an image is cut into.

#pragma once

#include "kernel.hpp"

namespace swath::winograd {
namespace {

#ifdef __AVX512F__
constexpr int64_t LANES = 16;
// Of a product: with two registers of columns each, as many as there are registers for.
constexpr int64_t ROWS = 12, SUMMED_ROWS = 8;
#else
constexpr int64_t LANES = 8;
constexpr int64_t ROWS = 6, SUMMED_ROWS = 4;
#endif
constexpr int64_t COLUMNS = 2 * LANES;

typedef float Lanes __attribute__((vector_size(LANES * 4)));
typedef float Loose __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

inline Lanes load(const float* from) { return *reinterpret_cast<const Loose*>(from); }
inline void store(float* to, Lanes value) { *reinterpret_cast<Loose*>(to) = value; }
inline Lanes all(float value) { return value - Lanes{}; }

inline int64_t quotient_up(int64_t n, int64_t by) { return (n + by - 1) / by; }
inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// What a block of tiles takes should stay in the core's cache.
constexpr int64_t BLOCK_NUMBERS = 1 << 17;

// Pixels that are `dilation` apart make an image of their own, a phase, which is cut as if they were neighbours.
struct Tiles {
  int64_t across, of_phase, of_image, all, block;

  explicit Tiles(const Shape& shape) {
    const int64_t down = quotient_up(quotient_up(shape.height, shape.dilation), EDGE);
    across = quotient_up(quotient_up(shape.width, shape.dilation), EDGE);
    of_phase = down * across;
    of_image = of_phase * shape.dilation * shape.dilation;
    all = of_image * shape.images;
    const int64_t channels = shape.from > shape.to ? shape.from : shape.to;
    const int64_t products = BLOCK_NUMBERS / (POINTS * channels * ROWS);
    block = (products < 2 ? 2 : products > 8 ? 8 : products) * ROWS;
  }
};

// Where a tile begins.
struct Place {
  int64_t image, y, x;

  Place(const Shape& shape, const Tiles& tiles, int64_t tile) {
    image = tile / tiles.of_image;
    const int64_t phase = tile % tiles.of_image / tiles.of_phase, within = tile % tiles.of_phase;
    y = phase / shape.dilation + within / tiles.across * EDGE * shape.dilation;
    x = phase % shape.dilation + within % tiles.across * EDGE * shape.dilation;
  }
};

// Pixels of a tile and around it, of `N` x `N`; null outside the image.
template <int64_t N>
struct Pixels {
  const float* at[N][N];

  Pixels(const Shape& shape, const float* images, int64_t channels, const Place& place, int64_t before) {
    const float* image = images + place.image * shape.height * shape.width * channels;
    for (int64_t row = 0; row < N; row++)
      for (int64_t column = 0; column < N; column++) {
        const int64_t y = place.y + (row - before) * shape.dilation, x = place.x + (column - before) * shape.dilation;
        const bool is_within = y >= 0 && y < shape.height && x >= 0 && x < shape.width;
        at[row][column] = is_within ? image + (y * shape.width + x) * channels : nullptr;
      }
  }
};

// A transform of rows and then of columns, both by `line`; `get(row, column)` and `put(row, column, value)`.
template <int64_t FROM, int64_t TO, typename Line, typename Get, typename Put>
inline __attribute__((always_inline)) void transform(Line line, Get get, Put put) {
  Lanes half[TO][FROM];
  for (int64_t column = 0; column < FROM; column++) {
    Lanes in[FROM], out[TO];
    for (int64_t row = 0; row < FROM; row++) in[row] = get(row, column);
    line(in, out);
    for (int64_t row = 0; row < TO; row++) half[row][column] = out[row];
  }
  for (int64_t row = 0; row < TO; row++) {
    Lanes out[TO];
    line(half[row], out);
    for (int64_t column = 0; column < TO; column++) put(row, column, out[column]);
  }
}

// The matrices of F(4, 3) for the points 0, 1, -1, 2, -2 and infinity: what is seen, what is given and the weights, and
// the transposes of the last two, which gradients go through.

inline void see(const Lanes* d, Lanes* out) {
  const Lanes one = d[4] - 4 * d[2], one_odd = d[3] - 4 * d[1], two = d[4] - d[2], two_odd = 2 * (d[3] - d[1]);
  out[0] = 4 * d[0] - 5 * d[2] + d[4];
  out[1] = one + one_odd;
  out[2] = one - one_odd;
  out[3] = two + two_odd;
  out[4] = two - two_odd;
  out[5] = 4 * d[1] - 5 * d[3] + d[5];
}

inline void give(const Lanes* m, Lanes* out) {
  const Lanes one = m[1] + m[2], one_odd = m[1] - m[2], two = m[3] + m[4], two_odd = m[3] - m[4];
  out[0] = m[0] + one + two;
  out[1] = one_odd + 2 * two_odd;
  out[2] = one + 4 * two;
  out[3] = one_odd + 8 * two_odd + m[5];
}

inline void give_back(const Lanes* y, Lanes* out) {
  const Lanes one = y[0] + y[2], one_odd = y[1] + y[3], two = y[0] + 4 * y[2], two_odd = 2 * y[1] + 8 * y[3];
  out[0] = y[0];
  out[1] = one + one_odd;
  out[2] = one - one_odd;
  out[3] = two + two_odd;
  out[4] = two - two_odd;
  out[5] = y[3];
}

inline void weigh(const Lanes* g, Lanes* out) {
  const Lanes one = g[0] + g[2], two = g[0] + 4 * g[2];
  out[0] = g[0] / 4;
  out[1] = -(one + g[1]) / 6;
  out[2] = -(one - g[1]) / 6;
  out[3] = (two + 2 * g[1]) / 24;
  out[4] = (two - 2 * g[1]) / 24;
  out[5] = g[2];
}

inline void weigh_back(const Lanes* u, Lanes* out) {
  const Lanes one = (u[1] + u[2]) / 6, two = (u[3] + u[4]) / 24;
  out[0] = u[0] / 4 - one + two;
  out[1] = (u[2] - u[1]) / 6 + (u[3] - u[4]) / 12;
  out[2] = 4 * two - one + u[5];
}

}  // namespace
}  // namespace swath::winograd
