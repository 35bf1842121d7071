#include "lowbit/search/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "lowbit/base/error.h"
#include "lowbit/base/file.h"
#include "lowbit/base/hash.h"
#include "lowbit/base/text.h"

namespace lowbit::search {
namespace {

constexpr size_t kChecksumDigits = 16;
constexpr size_t kMostBytes = size_t{1} << 30;

std::string checksum_of(std::string_view text) {
  return fmt::format("{:016x}", xxhash64(std::as_bytes(std::span(text.data(), text.size()))));
}

[[noreturn]] void fail(const std::string& path, const char* what) {
  throw Error(ErrorCode::io, fmt::format("the journal cannot be {}: {}", what, std::strerror(errno)), path);
}

/// The records of complete, undamaged lines, and how many bytes those take.
std::vector<Json> read_records(std::string_view text, size_t& valid_bytes) {
  std::vector<Json> records;
  valid_bytes = 0;
  while (valid_bytes < text.size()) {
    const size_t end = text.find('\n', valid_bytes);
    if (end == std::string_view::npos) break;
    const std::string_view line = text.substr(valid_bytes, end - valid_bytes);
    if (line.size() <= kChecksumDigits || line[kChecksumDigits] != ' ') break;
    const std::string_view json = line.substr(kChecksumDigits + 1);
    if (line.substr(0, kChecksumDigits) != checksum_of(json)) break;
    Json record = Json::parse(json, nullptr, /*allow_exceptions=*/false);
    if (!record.is_object()) break;
    records.push_back(std::move(record));
    valid_bytes = end + 1;
  }
  return records;
}

/// False for files that something else wrote: those are not overwritten. A journal may be cut off anywhere.
bool may_be_journal(std::string_view text) {
  const std::string_view checksum = text.substr(0, kChecksumDigits);
  return checksum.find_first_not_of("0123456789abcdef") == std::string_view::npos &&
         (text.size() <= kChecksumDigits || text[kChecksumDigits] == ' ') &&
         (text.size() <= kChecksumDigits + 1 || text[kChecksumDigits + 1] == '{');
}

/// What differs between two subjects, in words.
std::string difference(const Json& journal, const Json& now) {
  for (const auto& [key, value] : now.items())
    if (!journal.contains(key) || journal[key] != value)
      return fmt::format("{} was {}, is {}", key, journal.contains(key) ? journal[key].dump() : "not there",
                         value.dump());
  return "it has other keys";
}

}  // namespace

Journal::Journal(const std::string& path, const Json& subject) : path_(path) {
  size_t valid_bytes = 0;
  std::vector<Json> records;
  if (file_exists(path)) {
    const auto file = MappedFile::open(path);
    const Bytes bytes = file->bytes();
    if (bytes.size() > kMostBytes) throw Error(ErrorCode::bad_file, "the journal is larger than 1 GiB", path);
    records = read_records({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, valid_bytes);
    if (records.empty() && !may_be_journal({reinterpret_cast<const char*>(bytes.data()), bytes.size()}))
      throw Error(ErrorCode::bad_argument, "this file is no journal (choose another name)", path);
  }
  if (!records.empty() && (!records[0].contains("subject") || records[0]["subject"] != subject))
    throw Error(ErrorCode::bad_argument,
                fmt::format("the journal is of another search: {} (remove it, or choose another name)",
                            printable(difference(records[0].value("subject", Json::object()), subject), 200)),
                path);
  for (const Json& record : records)
    if (record.contains("key") && record["key"].is_string() && record.contains("value")) {
      values_[record["key"].get<std::string>()] = record["value"];
      ++found_;
    }
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail(path, "opened");
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    throw Error(ErrorCode::bad_argument, "another search is writing this journal (choose another name)", path);
  if (::ftruncate(descriptor_, static_cast<off_t>(valid_bytes)) != 0 || ::lseek(descriptor_, 0, SEEK_END) < 0)
    fail(path, "continued");
  if (records.empty()) append({{"subject", subject}});
}

Journal::~Journal() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void Journal::append(const Json& record) {
  if (descriptor_ < 0) return;
  const std::string json = record.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
  const std::string line = checksum_of(json) + " " + json + "\n";
  for (size_t done = 0; done < line.size();) {
    const ssize_t count = ::write(descriptor_, line.data() + done, line.size() - done);
    if (count < 0 && errno != EINTR) fail(path_, "written");
    if (count > 0) done += static_cast<size_t>(count);
  }
  if (::fdatasync(descriptor_) != 0 && errno != EINVAL && errno != EROFS) fail(path_, "written");
  ++written_;
  if (on_write) on_write(written_);
}

Json Journal::remember(const std::string& key, const std::function<Json()>& compute) {
  if (const auto found = values_.find(key); found != values_.end()) {
    ++reused_;
    return found->second;
  }
  Json value = compute();
  // What a resumed search reads is what this one goes on with.
  value = Json::parse(value.dump(-1, ' ', true, Json::error_handler_t::replace));
  append({{"key", key}, {"value", value}});
  values_[key] = value;
  return value;
}

}  // namespace lowbit::search
