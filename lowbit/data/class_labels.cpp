#include "lowbit/data/class_labels.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "lowbit/base/error.h"
#include "lowbit/base/file.h"
#include "lowbit/base/text.h"

namespace lowbit {
namespace {

constexpr int64_t kMaxNamedClasses = 100'000;

/// The name of the folder directly above; empty at the top.
std::string folder_name(const std::string& file) {
  return file.find('/') == std::string::npos ? "" : name_of(folder_of(file));
}

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  for (const std::string& part : split(line, ' '))
    for (const std::string& word : split(part, '\t'))
      if (!trim(word).empty()) words.emplace_back(trim(word));
  return words;
}

std::optional<int64_t> leading_integer(const std::string& name) {
  constexpr size_t kMaxDigits = 9;
  const size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  return digits <= kMaxDigits ? parse_int(name.substr(0, digits)) : std::nullopt;
}

bool is_wordnet_number(const std::string& word) {
  return word.size() == 9 && word[0] == 'n' && word.find_first_not_of("0123456789", 1) == std::string::npos;
}

using Classes = std::map<std::string, int64_t>;  // folder -> class

/// Earlier lines win, and a first word wins over a second one.
Classes index_lines(const ClassList& list) {
  Classes index;
  for (const size_t position : {size_t{0}, size_t{1}})
    for (size_t i = 0; i < list.lines.size(); ++i)
      if (const auto words = words_of(list.lines[i]); words.size() > position)
        index.emplace(words[position], static_cast<int64_t>(i));
  for (size_t i = 0; i < list.lines.size(); ++i) index.emplace(trim(list.lines[i]), static_cast<int64_t>(i));
  return index;
}

/// Rule 1; nothing if the list knows none of the folders.
std::optional<Classes> classes_by_list(const std::set<std::string>& folders, const ClassList& list,
                                       const std::string& data_path) {
  const Classes index = index_lines(list);
  Classes found;
  std::string missing;
  for (const std::string& folder : folders) {
    const auto line = index.find(folder);
    if (line != index.end())
      found.emplace(folder, line->second);
    else
      missing = folder;
  }
  if (found.empty()) return std::nullopt;
  if (!missing.empty())
    throw Error(
        ErrorCode::bad_file,
        fmt::format("the class folder '{}' is not in {}, though '{}' is (add a line, or give another --classes)",
                    printable(missing, 80), list.path, printable(found.begin()->first, 80)),
        data_path);
  return found;
}

/// Rule 2; nothing unless it fits all.
std::optional<Classes> classes_by_number(const std::set<std::string>& folders) {
  Classes found;
  for (const std::string& folder : folders) {
    const std::optional<int64_t> number = leading_integer(folder);
    if (!number) return std::nullopt;
    found.emplace(folder, *number);
  }
  return found;
}

/// Rule 3.
Classes classes_by_position(const std::set<std::string>& folders) {
  Classes found;
  for (const std::string& folder : folders) found.emplace(folder, static_cast<int64_t>(found.size()));
  return found;
}

Classes choose_classes(const std::set<std::string>& folders, const std::optional<ClassList>& list,
                       const std::string& data_path) {
  if (list)
    if (const auto found = classes_by_list(folders, *list, data_path)) return *found;
  if (const auto found = classes_by_number(folders)) return *found;
  if (list && list->given)
    throw Error(ErrorCode::bad_file,
                fmt::format("no class folder is in {} (looked for '{}' as first or second word of a line)", list->path,
                            printable(*folders.begin(), 80)),
                data_path);
  return folders.size() > 1 ? classes_by_position(folders) : Classes{};
}

std::vector<std::string> names_of(const Classes& classes) {
  int64_t largest = 0;
  for (const auto& [folder, number] : classes) largest = std::max(largest, number);
  if (largest >= kMaxNamedClasses) return {};
  std::vector<std::string> names(static_cast<size_t>(largest) + 1);
  for (const auto& [folder, number] : classes) names[static_cast<size_t>(number)] = folder;
  return names;
}

}  // namespace

std::optional<ClassList> find_class_list(const std::string& data_path, const std::string& classes_file) {
  constexpr size_t kMaxListBytes = size_t{16} << 20;
  ClassList list{classes_file, {}, !classes_file.empty()};
  for (const std::string& beside : {data_path, folder_of(data_path)})
    if (list.path.empty() && file_exists(beside + "/labels.txt")) list.path = beside + "/labels.txt";
  if (list.path.empty()) return std::nullopt;
  const auto file = MappedFile::open(list.path);
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  if (text.size() > kMaxListBytes || text.find('\0') != std::string_view::npos)
    throw Error(ErrorCode::bad_file, "is no list of classes (expected: text, one class a line)", list.path);
  list.lines = split(text, '\n');
  while (!list.lines.empty() && trim(list.lines.back()).empty()) list.lines.pop_back();
  return list;
}

std::vector<std::string> class_names(const ClassList& list) {
  std::vector<std::string> names;
  for (const std::string& line : list.lines) {
    std::vector<std::string> words = words_of(line);
    if (words.size() > 1 && parse_int(words[0])) words.erase(words.begin());
    if (words.size() > 1 && is_wordnet_number(words[0])) words.erase(words.begin());
    names.push_back(join(words, " "));
  }
  return names;
}

FolderLabels label_by_folder(const std::vector<std::string>& files, const std::optional<ClassList>& list,
                             const std::string& data_path) {
  FolderLabels result;
  if (list) result.names = class_names(*list);
  std::set<std::string> folders;
  for (const std::string& file : files) folders.insert(folder_name(file));
  if (folders.size() == 1 && folders.begin()->empty()) return result;
  if (folders.contains("")) {
    const auto loose = std::find_if(files.begin(), files.end(), [](const auto& f) { return folder_name(f).empty(); });
    throw Error(ErrorCode::bad_file,
                fmt::format("the picture '{}' lies beside the class folders (move it into one, or remove it)",
                            printable(*loose, 100)),
                data_path);
  }
  const Classes classes = choose_classes(folders, list, data_path);
  if (classes.empty()) return result;
  if (!list) result.names = names_of(classes);
  for (const std::string& file : files) result.labels.push_back(classes.at(folder_name(file)));
  return result;
}

}  // namespace lowbit
