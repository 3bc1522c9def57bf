// The bodies on the CPU: for element types that the vector kernels do not have, and where their arithmetic is tested.
#include <algorithm>

#include "../parallel.h"
#include "table.h"

namespace ddsas::grid {

namespace {

struct Cpu {
  template <typename Body>
  static void each(int64_t count, const Body& body, void*) {
    check_indices(count);
    parallel_for(0, count, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) body(static_cast<uint32_t>(i));
    });
  }

  /// Rows are summed in chunks, then the chunks, as on a GPU: rounding errors stay small, in the same order always.
  template <typename Body>
  static void sum_rows(int64_t rows, int64_t columns, const Body& body, const Scratch&, void*) {
    using Value = typename Body::Value;
    constexpr int64_t kChunk = 64;
    check_indices(rows);
    parallel_for(0, columns, 4, [&](int64_t begin, int64_t end) {
      for (int64_t column = begin; column < end; ++column) {
        auto total = Value::zero();
        for (int64_t first = 0; first < rows; first += kChunk) {
          auto part = Value::zero();
          for (int64_t row = first; row < std::min(rows, first + kChunk); ++row)
            part.add(body.at(static_cast<uint32_t>(row), static_cast<uint32_t>(column)));
          total.add(part);
        }
        body.finish(static_cast<uint32_t>(column), total);
      }
    });
  }

  template <typename Body>
  static void elements(const Tensors& to, const Body& body, void*) {
    parallel_for(0, to.count, 8, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k)
        for (int64_t i = 0; i < to.start[k + 1] - to.start[k]; ++i) body(static_cast<int>(k), i);
    });
  }
};

}  // namespace

const Table cpu_table = Functions<Cpu>::table();

}  // namespace ddsas::grid
