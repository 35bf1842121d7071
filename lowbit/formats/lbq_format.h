// lbq_format.h: the row of the container in formats/list.cpp. The container itself is in formats/lbq.
#pragma once

#include "lowbit/formats/format.h"

namespace lowbit::lbq_format {

bool sniff(Bytes head);
Model read(Bytes bytes, const ReadOptions& options);
void write(const Model& model, ByteSink& sink, const WriteOptions& options);

}  // namespace lowbit::lbq_format
