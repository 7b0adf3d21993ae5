// 3x3 convolutions of stride 1, with as much padding as their pixels are apart, by Winograd's F(4x4, 3x3): for 16 pixels and
// a pair of channels 36 products, where a plain convolution has 144. Images and weights are transformed, multiplied point
// by point (a matrix product for each of 36), and transformed back, which leaves about a third of the time. Pixels come with
// their channels side by side.
//
// What a pixel gets does not depend on which tiles stand beside its own: a window has the same bits in any batch.

#pragma once

#include <cstdint>

namespace swath::winograd {

// Edges of what a tile gives and of what it sees.
constexpr int64_t EDGE = 4, SEEN = EDGE + 2, POINTS = SEEN * SEEN;

struct Shape {
  int64_t images, height, width;
  // Channels.
  int64_t from, to;
  int64_t dilation;
};

// Numbers of weights between neighbours: channels given, channels taken, rows, columns.
using Strides = int64_t[4];

// What one set of instructions does.
struct Kernel {
  // Numbers of channels have to be multiples of this.
  int64_t lanes;

  // Tiles of all images.
  int64_t (*tiles)(const Shape&);

  // Some of the channels that are given, multiples of `lanes`; all are POINTS * from * to numbers. `back`: for the gradient
  // of the input, which is a convolution too.
  void (*pack)(const float* weight, const Strides&, int64_t from, int64_t to, bool back, int64_t first, int64_t end,
               float* packed);

  // Tiles are taken in blocks; each thread has scratch of its own.
  int64_t (*blocks)(const Shape&);
  int64_t (*scratch)(const Shape&);
  void (*convolve)(const Shape&, const float* input, const float* packed, const float* bias, bool relu, float* output,
                   int64_t first_block, int64_t end_block, float* scratch);

  // The gradient of the weight. Transformed tiles lie point by point, `room` of them each; `first` counts over all images.
  void (*take_input)(const Shape&, const float* input, int64_t first, int64_t n, int64_t room, float* taken);
  void (*take_gradient)(const Shape&, const float* gradient, int64_t first, int64_t n, int64_t room, float* taken);
  // Adds up a point's products over tiles.
  void (*sum)(const Shape&, const float* input, const float* gradient, int64_t n, float* sums);
  // From the sums of all points, `from * to` each.
  void (*unpack)(const float* sums, int64_t from, int64_t to, const Strides&, float* gradient);
};

extern const Kernel avx512, avx2;

}  // namespace swath::winograd
