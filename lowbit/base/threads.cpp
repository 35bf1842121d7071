#include "lowbit/base/threads.h"

#include <pthreadpool.h>
#include <sched.h>

#include <algorithm>
#include <exception>
#include <mutex>

namespace lowbit {
namespace {

thread_local bool inside_task = false;

/// What one parallel_for shares with its tasks.
struct Region {
  const std::function<void(int64_t)>& task;
  std::mutex mutex;
  std::exception_ptr error;
  int64_t error_index = 0;

  void run(int64_t i) noexcept {
    const bool outer = inside_task;
    inside_task = true;
    try {
      task(i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error || i < error_index) {
        error = std::current_exception();
        error_index = i;
      }
    }
    inside_task = outer;
  }
};

}  // namespace

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

ThreadPool::ThreadPool(int threads)
    : pool_(nullptr, [](pthreadpool*) {}), size_(threads > 0 ? threads : available_cores()) {
  if (size_ > 1)
    pool_ = {pthreadpool_create(static_cast<size_t>(size_)), [](pthreadpool* pool) { pthreadpool_destroy(pool); }};
  if (!pool_) size_ = 1;
}

ThreadPool::~ThreadPool() = default;

void ThreadPool::parallel_for(int64_t n, const std::function<void(int64_t)>& task) {
  if (n <= 0) return;
  Region region{task, {}, nullptr, 0};
  if (!pool_ || n == 1 || inside_task) {
    for (int64_t i = 0; i < n; ++i) region.run(i);
  } else {
    pthreadpool_parallelize_1d(
        pool_.get(), [](void* context, size_t i) { static_cast<Region*>(context)->run(static_cast<int64_t>(i)); },
        &region, static_cast<size_t>(n),
        /*flags=*/0);
  }
  if (region.error) std::rethrow_exception(region.error);
}

void ThreadPool::parallel_blocks(int64_t n, int64_t block, const std::function<void(int64_t, int64_t)>& task) {
  parallel_for((n + block - 1) / block, [&](int64_t i) { task(i * block, std::min(n, (i + 1) * block)); });
}

}  // namespace lowbit
