#include "engine.h"

#include <string.h>

#include <chrono>
#include <stdexcept>
#include <thread>

namespace twin {

Engine::Engine(const Isa* isa, const std::string& bundle, uint32_t first_layer,
               std::vector<int8_t> windows, std::vector<int8_t> features,
               std::vector<uint8_t> labels, std::vector<int8_t> queries, uint32_t query_count,
               uint32_t threads)
    : isa_(isa),
      bundle_(AllocateAligned(bundle.size())),
      windows_(std::move(windows)),
      features_(std::move(features)),
      labels_(std::move(labels)),
      queries_(std::move(queries)) {
  memcpy(bundle_.get(), bundle.data(), bundle.size());
  problem_.bundle = bundle_.get();
  problem_.bundle_size = static_cast<uint32_t>(bundle.size());
  problem_.first_layer = first_layer;
  problem_.windows = windows_.empty() ? nullptr : windows_.data();
  problem_.features = features_.data();
  problem_.labels = labels_.data();
  problem_.count = static_cast<uint32_t>(labels_.size());
  problem_.queries = queries_.data();
  problem_.query_count = query_count;
  for (uint32_t i = 0; i < threads; ++i) {
    workers_.emplace_back(isa_->create(&problem_), Destroy{isa_});
    if (workers_.back() == nullptr) throw std::runtime_error("there is not enough memory");
  }
}

void Engine::Run(Fleet fleet, const std::vector<uint32_t>& order,
                 const std::vector<uint32_t>& starts, const std::function<void(size_t)>& tick) {
  const size_t groups = starts.size() - 1;
  std::atomic<size_t> next{0};
  std::atomic<size_t> done{0};
  bool failed = false;  // read by code that has no std::atomic
  const auto fail = [&failed] { __atomic_store_n(&failed, true, __ATOMIC_RELAXED); };
  const auto has_failed = [&failed] { return __atomic_load_n(&failed, __ATOMIC_RELAXED); };
  fleet.cancelled = &failed;
  std::mutex mutex;
  std::condition_variable ended;
  size_t running = workers_.size();

  const auto work = [&](void* worker) {
    for (size_t g; !has_failed() && (g = next++) < groups;) {
      const uint32_t count = starts[g + 1] - starts[g];
      if (!isa_->run(worker, &fleet, order.data() + starts[g], count)) fail();
      done += count;
    }
    const std::lock_guard<std::mutex> lock(mutex);
    --running;
    ended.notify_one();
  };

  std::vector<std::thread> threads;
  threads.reserve(workers_.size());
  for (const Worker& worker : workers_) threads.emplace_back(work, worker.get());
  const auto join = [&threads] {
    for (std::thread& thread : threads) thread.join();
  };
  try {
    std::unique_lock<std::mutex> lock(mutex);
    while (!ended.wait_for(lock, std::chrono::milliseconds(100), [&] { return running == 0; })) {
      lock.unlock();
      tick(done);
      lock.lock();
    }
  } catch (...) {
    fail();
    join();
    throw;
  }
  join();
  if (has_failed()) throw std::runtime_error("there is not enough memory for the training");
}

}  // namespace twin
