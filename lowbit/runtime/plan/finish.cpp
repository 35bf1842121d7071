// The end of planning: outputs, lifetimes, the arena, and how many threads each step is worth.
#include <algorithm>

#include "lowbit/runtime/plan/arena.h"
#include "lowbit/runtime/plan/builder.h"
#include "lowbit/runtime/plan/convert.h"

namespace lowbit::plan {
namespace {

/// A chunk must be worth this long on one thread, or waking another one costs more than it saves (docs/performance.md).
constexpr double kChunkNanoseconds = 4000;

}  // namespace

bool Builder::write_straight_to_output(const View& view, int32_t index) {
  Buffer& buffer = buffers_[static_cast<size_t>(view.buffer)];
  const int64_t bytes = view.count() * static_cast<int64_t>(dtype_bytes(view.dtype));
  if (buffer.kind != Buffer::Kind::arena || view.offset != 0 || buffer.bytes != bytes || !is_row_major(view))
    return false;
  // Layers read a little behind their input (kReadSlack), which a caller's buffer does not allow.
  for (const Draft& draft : drafts_)
    if (std::find(draft.reads.begin(), draft.reads.end(), view.buffer) != draft.reads.end()) return false;
  buffer.kind = Buffer::Kind::output;
  buffer.index = index;
  return true;
}

void Builder::add_outputs() {
  for (size_t i = 0; i < graph_.outputs.size(); ++i) {
    const ValueId id = graph_.outputs[i];
    current_ = index_.producer(id);
    const Value& value = graph_.value(id);
    const bool known_value = known(id) != nullptr;
    const View view = is_coded(value) && !known_value ? operand(id) : real_operand(id);
    const bool decodes = is_coded(value) && !known_value;
    const DType dtype = decodes ? DType::float32 : view.dtype;
    output_ports_.push_back({value.name, dtype, view.dims});
    const auto index = static_cast<int32_t>(i);
    if (!decodes && write_straight_to_output(view, index)) continue;
    View to{dtype, view.dims, row_major_strides(view.dims), -1, 0};
    to.buffer =
        add_buffer({Buffer::Kind::output, index, static_cast<int64_t>(output_ports_.back().bytes()), 0, nullptr});
    if (view.count() == 0) continue;
    Draft draft = decodes ? decode_draft(view, to, *value.quantization) : copy_draft(view, to);
    draft.details.note = "graph output";
    emit(current_, std::move(draft));
  }
}

void Builder::merge_in_place(std::vector<int32_t>& first, std::vector<int32_t>& last) {
  merged_into_.assign(buffers_.size(), -1);
  const auto root = [&](BufferId id) {
    while (merged_into_[static_cast<size_t>(id)] >= 0) id = merged_into_[static_cast<size_t>(id)];
    return id;
  };
  for (size_t s = 0; s < drafts_.size(); ++s)
    for (const auto& [output, input] : drafts_[s].in_place) {
      const BufferId to = root(output), from = root(input);
      const Buffer &a = buffers_[static_cast<size_t>(to)], &b = buffers_[static_cast<size_t>(from)];
      if (to == from || a.kind != Buffer::Kind::arena || b.kind != Buffer::Kind::arena || a.bytes > b.bytes) continue;
      const auto step = static_cast<int32_t>(s);
      if (last[static_cast<size_t>(from)] != step || first[static_cast<size_t>(to)] != step) continue;
      merged_into_[static_cast<size_t>(to)] = from;
      last[static_cast<size_t>(from)] = last[static_cast<size_t>(to)];
      break;
    }
}

void Builder::place_arena(Plan& plan) {
  std::vector<int32_t> first(buffers_.size(), -1), last(buffers_.size(), -1);
  for (size_t s = 0; s < drafts_.size(); ++s) {
    for (const auto& list : {drafts_[s].reads, drafts_[s].writes})
      for (const BufferId id : list) {
        const auto i = static_cast<size_t>(id);
        if (first[i] < 0) first[i] = static_cast<int32_t>(s);
        last[i] = static_cast<int32_t>(s);
      }
  }
  merge_in_place(first, last);
  std::vector<size_t> placed;
  std::vector<Lifetime> lifetimes;
  for (size_t i = 0; i < buffers_.size(); ++i) {
    if (buffers_[i].kind != Buffer::Kind::arena || first[i] < 0) continue;
    plan.unshared_bytes += buffers_[i].bytes;
    if (merged_into_[i] >= 0) continue;
    placed.push_back(i);
    // Kernels may read a little behind an operand (kReadSlack); what lies there belongs to others and is not used.
    lifetimes.push_back({buffers_[i].bytes, first[i], last[i]});
  }
  const ArenaLayout layout = place_buffers(lifetimes);
  for (size_t i = 0; i < placed.size(); ++i) buffers_[placed[i]].arena_offset = layout.offsets[i];
  for (size_t i = 0; i < buffers_.size(); ++i) {
    BufferId id = static_cast<BufferId>(i);
    while (merged_into_[static_cast<size_t>(id)] >= 0) id = merged_into_[static_cast<size_t>(id)];
    buffers_[i].arena_offset = buffers_[static_cast<size_t>(id)].arena_offset;
  }
  plan.arena_bytes = layout.bytes + static_cast<int64_t>(kernels::kReadSlack);
}

void Builder::finish(Plan& plan) {
  place_arena(plan);
  for (Draft& draft : drafts_) {
    PlanStep step{draft.run, draft.params.get(), draft.tasks, 1};
    const auto worth = static_cast<int64_t>(draft.nanoseconds / kChunkNanoseconds);
    step.chunks = static_cast<int32_t>(
        std::max<int64_t>(1, std::min({static_cast<int64_t>(options_.threads), draft.tasks, worth})));
    plan.max_chunks = std::max(plan.max_chunks, step.chunks);
    constexpr int64_t kLine = kArenaAlignment;
    plan.scratch_bytes = std::max(plan.scratch_bytes, (draft.scratch_bytes + kLine - 1) / kLine * kLine);
    plan.steps.push_back(step);
    plan.details.push_back(std::move(draft.details));
  }
  for (const Buffer& buffer : buffers_)
    if (buffer.kind == Buffer::Kind::constant) plan.weight_bytes += buffer.bytes;
  plan.buffers = std::move(buffers_);
  plan.inputs = std::move(inputs_);
  plan.outputs = std::move(output_ports_);
  plan.owners = std::move(owners_);
}

}  // namespace lowbit::plan
