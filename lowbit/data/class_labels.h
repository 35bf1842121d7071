// class_labels.h: which class a picture belongs to, from the name of the folder it lies in and, if there is one, a list
// of classes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lowbit {

/// The lines of a labels.txt: class i is line i (from 0).
struct ClassList {
  std::string path;
  std::vector<std::string> lines;
  bool given = false;  ///< by the user, not found beside the data
};

/// `classes_file` if it is not empty, else labels.txt in the folder `data_path` or beside it; nothing if there is none.
/// Throws Error{bad_file} if the file is unreadable, no text, or longer than 16 MiB.
std::optional<ClassList> find_class_list(const std::string& data_path, const std::string& classes_file);

/// Names for reports: the line without a leading class number and WordNet number ("2 n01484850 great_white_shark" ->
/// "great_white_shark").
std::vector<std::string> class_names(const ClassList& list);

struct FolderLabels {
  std::vector<int64_t> labels;     ///< one per file; empty: the files have no classes
  std::vector<std::string> names;  ///< by class number; empty if unknown
};

/// The class of a file is that of the folder directly above it:
///   1. the line of `list` whose first word, second word or whole text is the folder's name;
///   2. else the integer that the name begins with ("0007_n01514668" -> 7);
///   3. else the position among the folders in alphabetical order.
/// One rule holds for all folders: the first that fits them all. No classes: all files lie at the top, or all in a
/// single folder to which neither 1 nor 2 applies.
/// Throws Error{bad_file} if some files have a folder and others none, if the list has some but not all of the folders,
/// or if a list given by the user has none of them and rule 2 does not apply.
FolderLabels label_by_folder(const std::vector<std::string>& files, const std::optional<ClassList>& list,
                             const std::string& data_path);

}  // namespace lowbit
