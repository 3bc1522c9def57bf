// Memory asked for while something else computes: a core that asks only when it needs an image waits for each.
#pragma once

#include <cstdint>

#include "pack.h"

namespace ddsas {
namespace DDSAS_INSTRUCTIONS {

/// Up to three stretches of memory, brought to the cache in `steps` equal parts.
class Ahead {
 public:
  explicit Ahead(int64_t steps) : steps_(steps > 0 ? steps : 1) {}

  /// Null: nothing.
  void add(const float* data, int64_t floats) {
    if (data == nullptr) return;
    const auto* const at = reinterpret_cast<const char*>(data);
    const auto bytes = static_cast<int64_t>(floats * sizeof(float));
    stretches_[count_++] = {at, at + bytes, (bytes / kLine + steps_ - 1) / steps_ * kLine};
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

  int64_t steps_;
  int count_ = 0;
  Stretch stretches_[3];
};

/// How many blocks `for_channel_blocks` makes, about.
inline int64_t channel_blocks(int64_t channels) { return (channels + DDSAS_WIDTH - 1) / DDSAS_WIDTH; }

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
