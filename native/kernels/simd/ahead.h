// Memory asked for while something else computes: a core that asks only when it needs an image waits for each.
#pragma once

#include <cstdint>

#include "kernels.h"
#include "pack.h"

namespace ddsas {
namespace DDSAS_INSTRUCTIONS {

/// What is wanted soon, brought to the cache in `steps` equal parts.
class Ahead {
 public:
  Ahead(const Soon& soon, int64_t steps) {
    if (steps < 1) steps = 1;
    for (int i = 0; i < soon.count; ++i) {
      const auto* const at = static_cast<const char*>(soon.stretches[i].data);
      const int64_t bytes = soon.stretches[i].bytes;
      stretches_[count_++] = {at, at + bytes, (bytes / kLine + steps - 1) / steps * kLine};
    }
  }

  void step() {
    for (int i = 0; i < count_; ++i) {
      Stretch& stretch = stretches_[i];
      const char* const stop = stretch.end - stretch.at < stretch.part ? stretch.end : stretch.at + stretch.part;
      for (; stretch.at < stop; stretch.at += kLine) __builtin_prefetch(stretch.at, /*write=*/0, /*locality=*/2);
    }
  }

 private:
  static constexpr int64_t kLine = 64;
  struct Stretch {
    const char *at, *end;
    int64_t part;
  };

  int count_ = 0;
  Stretch stretches_[Soon::kMost];
};

/// How many blocks `for_channel_blocks` makes, about.
inline int64_t channel_blocks(int64_t channels) { return (channels + DDSAS_WIDTH - 1) / DDSAS_WIDTH; }

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
