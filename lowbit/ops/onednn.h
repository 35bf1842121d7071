// onednn.h: what the fast versions share of oneDNN. Each call runs on the calling thread alone: the work is cut by the
// problem and spread by our own pool, so that results do not depend on the number of threads.
#pragma once

#include <omp.h>

#include <oneapi/dnnl/dnnl.hpp>

namespace lowbit::onednn {

/// One engine for the process; also sets the size of oneDNN's own cache of primitives, whose creation is costly.
const dnnl::engine& cpu_engine();

inline constexpr auto kFloat = dnnl::memory::data_type::f32;

/// Row-major layout of rank 1 to 6 (oneDNN's plain tags).
inline dnnl::memory::format_tag plain_tag(size_t rank) {
  using Tag = dnnl::memory::format_tag;
  constexpr Tag kTags[] = {Tag::a, Tag::ab, Tag::abc, Tag::abcd, Tag::abcde, Tag::abcdef};
  return kTags[rank - 1];
}

/// For primitives that several threads run at once: the working memory is given with each call. oneDNN's own is one per
/// primitive, so concurrent calls would share it.
inline dnnl::primitive_attr own_scratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

/// Keeps oneDNN (which runs on OpenMP here) on the calling thread for the lifetime of the object.
class SingleThread {
 public:
  SingleThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~SingleThread() { omp_set_num_threads(before_); }
  SingleThread(const SingleThread&) = delete;
  SingleThread& operator=(const SingleThread&) = delete;

 private:
  int before_;
};

}  // namespace lowbit::onednn
