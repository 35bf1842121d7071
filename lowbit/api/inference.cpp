#include "lowbit/api/inference.h"

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/runtime/reference_steps.h"

namespace lowbit {

Inference::Inference(const Graph& graph, ThreadPool& threads, InferenceOptions options)
    : graph_(graph), threads_(threads), options_(options) {
  check_operators(graph);
  const std::shared_ptr<const Graph> borrowed(std::shared_ptr<const void>(), &graph);
  model_ = std::make_shared<CompiledModel>(borrowed, toolkit_steps());
}

Inference::~Inference() = default;

std::vector<Tensor> Inference::ordered_inputs(const NamedTensors& inputs) const {
  std::vector<Tensor> ordered;
  for (const ValueId id : graph_.inputs) {
    const Value& value = graph_.value(id);
    const auto given = inputs.find(value.name);
    if (given == inputs.end())
      throw Error(ErrorCode::bad_argument, fmt::format("input '{}' is missing", printable(value.name)));
    check_input(value, given->second);
    ordered.push_back(given->second);
  }
  return ordered;
}

void Inference::prepare(const NamedTensors& inputs) {
  if (executor_) return;
  std::vector<Dims> dims;
  for (const Tensor& tensor : ordered_inputs(inputs)) dims.push_back(tensor.dims());
  if (session_ && dims == dims_) return;
  try {
    if (session_) {
      session_->set_dims(dims);
    } else {
      SessionOptions options;
      options.pool = &threads_;
      options.reference_float = options_.reference_float;
      session_ = std::make_unique<Session>(model_, options, dims);
    }
    dims_ = dims;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::unsupported && error.code() != ErrorCode::bad_argument) throw;
    why_ = error.message();
    session_.reset();
    executor_ = std::make_unique<Executor>(graph_, threads_);
  }
}

std::vector<Tensor> Inference::run_ordered(const NamedTensors& inputs) {
  prepare(inputs);
  if (executor_) return executor_->run_ordered(inputs);
  const std::vector<Tensor> ordered = ordered_inputs(inputs);
  std::vector<const void*> in;
  std::vector<void*> out;
  std::vector<Tensor> outputs;
  for (const Tensor& tensor : ordered) in.push_back(tensor.raw().data());
  for (const plan::Port& port : session_->outputs()) outputs.push_back(Tensor::uninitialized(port.dtype, port.dims));
  for (Tensor& tensor : outputs) out.push_back(tensor.mutable_raw());
  session_->run(in, out);
  return outputs;
}

NamedTensors Inference::run(const NamedTensors& inputs) {
  std::vector<Tensor> outputs = run_ordered(inputs);
  NamedTensors named;
  for (size_t i = 0; i < outputs.size(); ++i) named[graph_.value(graph_.outputs[i]).name] = std::move(outputs[i]);
  return named;
}

PreparedRun::PreparedRun(Inference& inference, const NamedTensors& inputs) : inference_(inference), inputs_(inputs) {
  inference_.run_ordered(inputs_);
  Session* session = inference_.session();
  if (!session) return;
  for (const plan::Port& port : session->inputs()) in_.push_back(inputs_.at(port.name).raw().data());
  for (const plan::Port& port : session->outputs()) outputs_.push_back(Tensor::uninitialized(port.dtype, port.dims));
  for (Tensor& tensor : outputs_) out_.push_back(tensor.mutable_raw());
}

void PreparedRun::operator()() const {
  if (Session* session = inference_.session())
    session->run(in_, out_);
  else
    inference_.run_ordered(inputs_);
}

}  // namespace lowbit
