// How kernels spread their work over threads.
#pragma once

#include <ATen/Parallel.h>

#ifdef __SANITIZE_THREAD__
#include <algorithm>
#include <thread>
#include <vector>
#endif

namespace ddsas {

#ifdef __SANITIZE_THREAD__

/// The same with threads of our own: ThreadSanitizer cannot see how those of libgomp wait for one another.
template <typename Body>
void parallel_for(int64_t begin, int64_t end, int64_t grain, const Body& body) {
  if (begin >= end) return;
  const int64_t count = end - begin, threads = std::min<int64_t>(at::get_num_threads(), (count + grain - 1) / grain);
  const int64_t share = (count + threads - 1) / threads;
  std::vector<std::thread> others;
  for (int64_t from = begin + share; from < end; from += share)
    others.emplace_back([&body, from, to = std::min(end, from + share)] { body(from, to); });
  body(begin, std::min(end, begin + share));
  for (auto& other : others) other.join();
}

#else

using at::parallel_for;

#endif

}  // namespace ddsas
