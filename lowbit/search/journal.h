// journal.h: an append-only record of everything that a search found out. A search asks remember(key, compute) for
// every figure that costs time or differs from run to run (evaluations, timings, decisions by the clock); a search that
// was interrupted and starts again is given the recorded figures in turn and continues where the record ends, with the
// same result bit for bit.
//
// The file: one line for each record, `CHECKSUM JSON`, flushed to the disk before the search goes on. The first line
// says what is being searched; a journal of something else is refused. A line that is cut off or damaged ends the
// record: it and what follows is written again.
#pragma once

#include <functional>
#include <map>
#include <string>

#include <nlohmann/json.hpp>

namespace lowbit::search {

using Json = nlohmann::ordered_json;

class Journal {
 public:
  /// Keeps the record in memory only.
  Journal() = default;
  /// Opens or creates `path`. `subject`: what the search depends on (model, data, options, version). Throws
  /// Error{bad_argument} if the journal is of another subject, saying in what it differs, Error{io} if it cannot be
  /// written.
  Journal(const std::string& path, const Json& subject);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// The value recorded under `key`; else what `compute` returns, recorded before it is handed out.
  Json remember(const std::string& key, const std::function<Json()>& compute);
  /// Records found in the file when it was opened.
  size_t found() const { return found_; }
  /// Values that were given out without computing them.
  size_t reused() const { return reused_; }

  /// Called after each record that is written, with their number: tests interrupt there.
  std::function<void(size_t written)> on_write;

 private:
  void append(const Json& record);

  int descriptor_ = -1;
  std::string path_;
  std::map<std::string, Json> values_;
  size_t found_ = 0, reused_ = 0, written_ = 0;
};

}  // namespace lowbit::search
