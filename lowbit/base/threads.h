// threads.h: the one way to run things in parallel. Results never depend on the number of threads: work is cut by the problem, not by the pool.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

struct pthreadpool;

namespace lowbit {

class ThreadPool {
 public:
  /// `threads` >= 1 including the caller; 0 = one per core that this process may use.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const noexcept { return size_; }

  /// Calls task(i) for 0 <= i < n, in any order, on the pool's threads; returns when all are done. An exception of a task is rethrown
  /// (the one of the lowest i). May be nested: an inner call from a task runs on its own thread.
  void parallel_for(int64_t n, const std::function<void(int64_t)>& task);

  /// Cuts [0, n) into blocks of `block` (the last may be shorter) and calls task(begin, end) for each.
  void parallel_blocks(int64_t n, int64_t block, const std::function<void(int64_t, int64_t)>& task);

 private:
  std::unique_ptr<pthreadpool, void (*)(pthreadpool*)> pool_;
  int size_;
};

/// The number of cores that this process may use.
int available_cores();

}  // namespace lowbit
