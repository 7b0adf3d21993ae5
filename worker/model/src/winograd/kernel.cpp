// Compiled once for each set of instructions, with nothing of a library in it: what a linker keeps of two copies could be
// one that this processor does not understand.

#include "convolve.hpp"
#include "weight.hpp"

#ifdef __AVX512F__
#define KERNEL avx512
#else
#define KERNEL avx2
#endif

namespace swath::winograd {

const Kernel KERNEL = {
    LANES, n_tiles, pack, blocks, scratch, convolve, take_input, take_gradient, sum, unpack,
};

}  // namespace swath::winograd
