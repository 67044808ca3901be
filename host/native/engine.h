// Runs many devices: threads over groups of lanes.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "board.h"
#include "isa.h"

namespace twin {

class Engine {
 public:
  // Everything is copied. `windows` may be empty (no augmentation then). Throws std::runtime_error
  // when memory is short.
  Engine(const Isa* isa, const std::string& bundle, uint32_t first_layer,
         std::vector<int8_t> windows, std::vector<int8_t> features, std::vector<uint8_t> labels,
         std::vector<int8_t> queries, uint32_t query_count, uint32_t threads);

  // Devices order[starts[g]] to order[starts[g + 1] - 1] run side by side. `tick` is called in this
  // thread about ten times a second with the number of devices done; an exception from it ends
  // the run. (`cancelled` of the fleet is set here.)
  void Run(Fleet fleet, const std::vector<uint32_t>& order, const std::vector<uint32_t>& starts,
           const std::function<void(size_t)>& tick);

 private:
  struct Destroy {
    const Isa* isa;
    void operator()(void* worker) const { isa->destroy(worker); }
  };
  using Worker = std::unique_ptr<void, Destroy>;

  const Isa* isa_;
  AlignedBytes bundle_;
  std::vector<int8_t> windows_, features_;
  std::vector<uint8_t> labels_;
  std::vector<int8_t> queries_;
  Problem problem_ = {};
  std::vector<Worker> workers_;
};

}  // namespace twin
