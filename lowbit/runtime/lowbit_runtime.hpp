// lowbit_runtime.hpp: the C++ face of the small runtime over its C interface (lowbit_runtime.h), in one header: owners that free, and
// lowbit::runtime::Error instead of statuses. Nothing else of C++ crosses the border of the library, so that program and library may
// come from different compilers.
//
//   lowbit::runtime::Model model("net.lbq");
//   lowbit::runtime::Session session(model);
//   session.run({input.data()}, {output.data()});   // sizes are those of session.input(0).bytes, session.output(0).bytes
#pragma once

#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "lowbit/runtime/lowbit_runtime.h"

namespace lowbit::runtime {

class Error : public std::runtime_error {
 public:
  Error(lowbit_status status, const char* message) : std::runtime_error(message), status_(status) {}
  lowbit_status status() const noexcept { return status_; }

 private:
  lowbit_status status_;
};

inline void check(lowbit_status status) {
  if (status != LOWBIT_OK) throw Error(status, lowbit_last_error());
}

/// A container made ready; may be shared by sessions on any threads. Movable.
class Model {
 public:
  explicit Model(const std::string& path) {
    lowbit_model* made = nullptr;
    check(lowbit_model_open(path.c_str(), &made));
    handle_.reset(made);
  }
  /// The bytes must stay until the model and its sessions are gone.
  Model(const void* bytes, size_t size) {
    lowbit_model* made = nullptr;
    check(lowbit_model_from_memory(bytes, size, &made));
    handle_.reset(made);
  }
  lowbit_model* get() const noexcept { return handle_.get(); }

 private:
  struct Free {
    void operator()(lowbit_model* model) const noexcept { lowbit_model_free(model); }
  };
  std::unique_ptr<lowbit_model, Free> handle_;
};

/// One plan with its memory, for one thread at a time. Keeps what it needs of its model. Movable.
class Session {
 public:
  explicit Session(const Model& model) : Session(model, nullptr) {}
  Session(const Model& model, const lowbit_session_options& options) : Session(model, &options) {}

  /// Plans for other input shapes, one per input.
  void set_shapes(const std::vector<std::vector<int64_t>>& shapes) {
    std::vector<const int64_t*> dims;
    std::vector<size_t> ranks;
    for (const auto& shape : shapes) {
      dims.push_back(shape.data());
      ranks.push_back(shape.size());
    }
    check(lowbit_session_set_shapes(get(), dims.data(), ranks.data(), shapes.size()));
    read_sizes();
  }

  size_t inputs() const noexcept { return input_bytes_.size(); }
  size_t outputs() const noexcept { return output_bytes_.size(); }
  lowbit_port input(size_t i) const {
    lowbit_port port;
    check(lowbit_session_input(get(), i, &port));
    return port;
  }
  lowbit_port output(size_t i) const {
    lowbit_port port;
    check(lowbit_session_output(get(), i, &port));
    return port;
  }
  size_t memory_bytes() const noexcept { return lowbit_session_memory(get()); }

  /// One buffer per port, each as large as its port says.
  void run(std::initializer_list<const void*> inputs, std::initializer_list<void*> outputs) {
    run(inputs.begin(), inputs.size(), outputs.begin(), outputs.size());
  }
  void run(const void* const* inputs, size_t input_count, void* const* outputs, size_t output_count) {
    if (input_count != input_bytes_.size() || output_count != output_bytes_.size())
      throw Error(LOWBIT_BAD_ARGUMENT, "as many buffers as the model has inputs and outputs are needed");
    check(lowbit_session_run(get(), inputs, input_bytes_.data(), outputs, output_bytes_.data()));
  }

  lowbit_session* get() const noexcept { return handle_.get(); }

 private:
  struct Free {
    void operator()(lowbit_session* session) const noexcept { lowbit_session_free(session); }
  };
  Session(const Model& model, const lowbit_session_options* options) {
    lowbit_session* made = nullptr;
    check(lowbit_session_create(model.get(), options, &made));
    handle_.reset(made);
    read_sizes();
  }
  void read_sizes() {
    input_bytes_.resize(lowbit_session_inputs(get()));
    output_bytes_.resize(lowbit_session_outputs(get()));
    for (size_t i = 0; i < inputs(); ++i) input_bytes_[i] = input(i).bytes;
    for (size_t i = 0; i < outputs(); ++i) output_bytes_[i] = output(i).bytes;
  }

  std::unique_ptr<lowbit_session, Free> handle_;
  std::vector<size_t> input_bytes_, output_bytes_;
};

}  // namespace lowbit::runtime
