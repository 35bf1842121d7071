// onednn.h: what the fast versions share of oneDNN. Each call runs on the calling thread alone: the work is cut by the
// problem and spread by our own pool, so that results do not depend on the number of threads.
#pragma once

#include <omp.h>

#include <oneapi/dnnl/dnnl.hpp>

namespace lowbit::onednn {

/// One engine for the process; also sets the size of oneDNN's own cache of primitives, whose creation is costly.
const dnnl::engine& cpu_engine();

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
