// The C interface: every call catches everything and turns it into a status and a line.
#include <array>
#include <cstring>
#include <new>
#include <string>

#include "lowbit/device/container_model.h"
#include "lowbit/device/device_steps.h"
#include "lowbit/kernels/cpu.h"
#include "lowbit/kernels/qlayer.h"
#include "lowbit/runtime/lowbit_runtime.h"

#ifndef LOWBIT_VERSION
#define LOWBIT_VERSION "unknown"
#endif

struct lowbit_model {
  std::shared_ptr<lowbit::CompiledModel> compiled;
};

struct lowbit_session {
  lowbit::Session session;
};

namespace {

using lowbit::Error;
using lowbit::ErrorCode;

/// Fixed room, so that a failure can be told without memory.
thread_local std::array<char, 512> last_error{};

lowbit_status fail(lowbit_status status, const char* message) noexcept {
  std::strncpy(last_error.data(), message, last_error.size() - 1);
  last_error.back() = '\0';
  return status;
}

lowbit_status status_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::bad_argument:
      return LOWBIT_BAD_ARGUMENT;
    case ErrorCode::bad_file:
      return LOWBIT_BAD_FILE;
    case ErrorCode::unsupported:
      return LOWBIT_UNSUPPORTED;
    case ErrorCode::io:
      return LOWBIT_IO;
    case ErrorCode::out_of_memory:
      return LOWBIT_OUT_OF_MEMORY;
    default:
      return LOWBIT_INTERNAL;
  }
}

template <typename F>
lowbit_status guarded(F&& f) noexcept {
  try {
    f();
    return LOWBIT_OK;
  } catch (const Error& error) {
    return fail(status_of(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return fail(LOWBIT_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return fail(LOWBIT_INTERNAL, error.what());
  } catch (...) {
    return fail(LOWBIT_INTERNAL, "unknown failure");
  }
}

lowbit_status null_argument(const char* name) noexcept {
  std::array<char, 96> text{};
  std::strncat(text.data(), name, 60);
  std::strncat(text.data(), " is a null pointer", 30);
  return fail(LOWBIT_BAD_ARGUMENT, text.data());
}

lowbit_type type_of(lowbit::DType type) {
  using lowbit::DType;
  switch (type) {
    case DType::float32:
      return LOWBIT_FLOAT32;
    case DType::float16:
      return LOWBIT_FLOAT16;
    case DType::bfloat16:
      return LOWBIT_BFLOAT16;
    case DType::int8:
      return LOWBIT_INT8;
    case DType::uint8:
      return LOWBIT_UINT8;
    case DType::int16:
      return LOWBIT_INT16;
    case DType::uint16:
      return LOWBIT_UINT16;
    case DType::int32:
      return LOWBIT_INT32;
    case DType::int64:
      return LOWBIT_INT64;
    case DType::bool_:
      return LOWBIT_BOOL;
    default:
      return LOWBIT_OTHER;
  }
}

lowbit_status describe(const std::vector<lowbit::plan::Port>& ports, size_t index, lowbit_port* port) noexcept {
  if (index >= ports.size()) return fail(LOWBIT_BAD_ARGUMENT, "the index of a port is too large");
  const lowbit::plan::Port& from = ports[index];
  *port = {from.name.c_str(), type_of(from.dtype), from.dims.size(), from.dims.data(), from.bytes()};
  return LOWBIT_OK;
}

void check_sizes(const std::vector<lowbit::plan::Port>& ports, const size_t* bytes, const char* what) {
  for (size_t i = 0; i < ports.size(); ++i)
    if (bytes[i] != ports[i].bytes())
      throw Error(ErrorCode::bad_argument, std::string("the buffer of ") + what + " '" + ports[i].name.substr(0, 80) +
                                               "' has " + std::to_string(bytes[i]) + " bytes, expected are " +
                                               std::to_string(ports[i].bytes()));
}

}  // namespace

extern "C" {

lowbit_status lowbit_model_open(const char* path, lowbit_model** model) {
  if (!path) return null_argument("path");
  if (!model) return null_argument("model");
  *model = nullptr;
  return guarded([&] { *model = new lowbit_model{lowbit::compile_container_file(path, lowbit::device_steps())}; });
}

lowbit_status lowbit_model_from_memory(const void* bytes, size_t size, lowbit_model** model) {
  if (!bytes) return null_argument("bytes");
  if (!model) return null_argument("model");
  *model = nullptr;
  return guarded([&] {
    const auto* data = static_cast<const std::byte*>(bytes);
    // The caller keeps the bytes: an owner that does nothing makes views of them. Weights must be aligned; else all is
    // copied.
    std::shared_ptr<const void> owner(bytes, [](const void*) {});
    if (reinterpret_cast<uintptr_t>(bytes) % lowbit::kernels::kAlignment != 0) {
      const std::shared_ptr<std::byte> copy = lowbit::plan::allocate_aligned(size);
      std::memcpy(copy.get(), bytes, size);
      data = copy.get();
      owner = copy;
    }
    *model = new lowbit_model{lowbit::compile_container({data, size}, owner, lowbit::device_steps())};
  });
}

void lowbit_model_free(lowbit_model* model) { delete model; }

lowbit_status lowbit_session_create(lowbit_model* model, const lowbit_session_options* options,
                                    lowbit_session** session) {
  if (!model) return null_argument("model");
  if (!session) return null_argument("session");
  *session = nullptr;
  return guarded([&] {
    lowbit::SessionOptions chosen;
    if (options) {
      chosen.threads = options->threads;
      chosen.parallel = {options->parallel, options->pool, options->threads};
    }
    *session = new lowbit_session{{model->compiled, chosen}};
  });
}

lowbit_status lowbit_session_set_shapes(lowbit_session* session, const int64_t* const* dims, const size_t* ranks,
                                        size_t inputs) {
  if (!session) return null_argument("session");
  if (inputs > 0 && (!dims || !ranks)) return null_argument("dims");
  return guarded([&] {
    constexpr size_t kMostRank = 16;
    std::vector<lowbit::Dims> wanted;
    if (inputs != session->session.inputs().size())
      throw Error(ErrorCode::bad_argument, "as many shapes as inputs are needed");
    for (size_t i = 0; i < inputs; ++i) {
      if ((!dims[i] && ranks[i] > 0) || ranks[i] > kMostRank)
        throw Error(ErrorCode::bad_argument, "a shape is null or has more than 16 dimensions");
      wanted.emplace_back(dims[i], dims[i] + ranks[i]);
    }
    session->session.set_dims(wanted);
  });
}

void lowbit_session_free(lowbit_session* session) { delete session; }

size_t lowbit_session_inputs(const lowbit_session* session) { return session ? session->session.inputs().size() : 0; }
size_t lowbit_session_outputs(const lowbit_session* session) { return session ? session->session.outputs().size() : 0; }

lowbit_status lowbit_session_input(const lowbit_session* session, size_t index, lowbit_port* port) {
  if (!session || !port) return null_argument(session ? "port" : "session");
  return describe(session->session.inputs(), index, port);
}

lowbit_status lowbit_session_output(const lowbit_session* session, size_t index, lowbit_port* port) {
  if (!session || !port) return null_argument(session ? "port" : "session");
  return describe(session->session.outputs(), index, port);
}

size_t lowbit_session_memory(const lowbit_session* session) { return session ? session->session.memory_bytes() : 0; }

lowbit_status lowbit_session_run(lowbit_session* session, const void* const* inputs, const size_t* input_bytes,
                                 void* const* outputs, const size_t* output_bytes) {
  if (!session) return null_argument("session");
  const size_t in = session->session.inputs().size(), out = session->session.outputs().size();
  if (in > 0 && (!inputs || !input_bytes)) return null_argument(inputs ? "input_bytes" : "inputs");
  if (out > 0 && (!outputs || !output_bytes)) return null_argument(outputs ? "output_bytes" : "outputs");
  return guarded([&] {
    check_sizes(session->session.inputs(), input_bytes, "input");
    check_sizes(session->session.outputs(), output_bytes, "output");
    session->session.run({inputs, in}, {outputs, out});
  });
}

const char* lowbit_last_error(void) { return last_error.data(); }

const char* lowbit_status_text(lowbit_status status) {
  switch (status) {
    case LOWBIT_OK:
      return "done";
    case LOWBIT_BAD_ARGUMENT:
      return "bad argument";
    case LOWBIT_BAD_FILE:
      return "bad file";
    case LOWBIT_UNSUPPORTED:
      return "unsupported";
    case LOWBIT_IO:
      return "the system failed";
    case LOWBIT_OUT_OF_MEMORY:
      return "out of memory";
    default:
      return "internal error";
  }
}

const char* lowbit_version(void) { return LOWBIT_VERSION; }

const char* lowbit_instruction_set(void) {
  try {
    return lowbit::kernels::isa_row(lowbit::kernels::active_isa()).name.data();
  } catch (...) {
    return "ref";  // LOWBIT_ISA names one that this machine does not have; sessions refuse with the reason
  }
}
}
