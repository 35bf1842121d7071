// annotations.h: the annotations of a container (section ANNO): number format by name, granularity, origin, and the
// parameters column by column, each column in the smallest form that keeps every float32 bit for bit.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lowbit/core/graph.h"
#include "lowbit/formats/lbq/cursor.h"

namespace lowbit::lbq {

/// One annotation as stored. Its parameters are expanded only for the value that it belongs to, whose dimensions bound
/// them.
struct AnnotationEntry {
  Quantization quantization;  ///< without params
  uint64_t groups = 0;
  struct StoredColumn {
    uint8_t form = 0;  ///< Column
    Bytes bytes;
  };
  std::vector<StoredColumn> columns;

  uint64_t parameter_bytes() const {
    uint64_t bytes = 0;
    for (const StoredColumn& column : columns) bytes += 1 + column.bytes.size();
    return bytes;
  }
};

void write_annotation(const Quantization& quantization, Writer& writer);

/// Throws Error{bad_file}; Error{unsupported} for a number system that this build does not have.
std::vector<AnnotationEntry> read_annotations(Bytes section);

/// The annotation of `value`, whose dtype, shape and constant are known. Checks that the parameters are usable and fit
/// the value, and that a constant holds codes of the format. Throws Error{bad_file}.
Quantization expand_annotation(const AnnotationEntry& entry, const Value& value);

}  // namespace lowbit::lbq
