#include <cstring>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/data/class_labels.h"
#include "lowbit/data/sample_order.h"
#include "lowbit/data/sources.h"

namespace lowbit {
namespace {

class PictureSet : public DataSet {
 public:
  PictureSet(PictureFiles files, const std::string& path, const DataOptions& options)
      : files_(std::move(files)),
        path_(path),
        preprocess_(options.preprocess.value_or(Preprocess{})),
        corruption_(options.corruption),
        order_(static_cast<int64_t>(files_.names().size()), options, path),
        labels_are_given_(!options.labels.empty() || !options.classes.empty()) {
    const std::optional<ClassList> list = find_class_list(path, options.classes);
    labels_ = load_labels(options, static_cast<int64_t>(files_.names().size()));
    if (labels_.empty()) {
      FolderLabels folders = label_by_folder(files_.names(), list, path);
      labels_.labels = std::move(folders.labels);
      names_ = std::move(folders.names);
    } else if (list) {
      names_ = lowbit::class_names(*list);
    }
  }

  int64_t size() const override { return order_.size(); }
  bool has_labels() const override { return !labels_.empty(); }
  bool has_pictures() const override { return true; }
  bool labels_are_given() const override { return labels_are_given_; }
  const std::vector<std::string>& class_names() const override { return names_; }
  std::string sample_name(int64_t index) const override {
    order_.check(index, 1);
    return printable(files_.names()[static_cast<size_t>(order_[index])]);
  }
  std::string describe() const override {
    return fmt::format("{} pictures of {}, {}", with_commas(size()), path_,
                       has_labels() ? "with labels" : "without labels");
  }

  Batch read(int64_t begin, int64_t count, ThreadPool* threads) const override {
    order_.check(begin, count);
    const Tensor first = decode(order_[begin]);
    Dims dims = first.dims();
    dims.insert(dims.begin(), count);
    Tensor inputs = Tensor::uninitialized(DType::float32, dims);
    std::byte* raw = inputs.mutable_raw();
    std::memcpy(raw, first.raw().data(), first.byte_size());
    const auto place = [&](int64_t i) {
      const Tensor picture = decode(order_[begin + i + 1]);
      if (picture.dims() != first.dims()) refuse_size(begin, first, begin + i + 1, picture);
      std::memcpy(raw + static_cast<size_t>(i + 1) * first.byte_size(), picture.raw().data(), first.byte_size());
    };
    if (threads) {
      threads->parallel_for(count - 1, place);
    } else {
      for (int64_t i = 0; i < count - 1; ++i) place(i);
    }
    Batch batch;
    batch.inputs.emplace_back("", std::move(inputs));
    take_labels(labels_, order_, begin, count, batch);
    return batch;
  }

 private:
  Tensor decode(int64_t row) const {
    const PictureFiles::Content content = files_.content(row);
    const std::string name = files_.shown_name(row);
    const Image image = decode_image(content.bytes, name);
    files_.release(content);
    try {
      if (!corruption_) return apply_preprocess(preprocess_, image);
      return apply_preprocess(preprocess_, image, [&](Picture<uint8_t>& picture) {
        corrupt(*corruption_, static_cast<uint64_t>(row), picture);
      });
    } catch (const Error& error) {
      throw Error(error.code(), error.message(), name);
    }
  }

  [[noreturn]] void refuse_size(int64_t first, const Tensor& a, int64_t other, const Tensor& b) const {
    throw Error(ErrorCode::bad_file,
                fmt::format("is {} after preprocessing, but '{}' is {} (make all pictures equal by resize=WxH, or "
                            "short=N and crop=WxH in --preprocess)",
                            dims_text(b.dims()), sample_name(first), dims_text(a.dims())),
                files_.shown_name(order_[other]));
  }

  PictureFiles files_;
  std::string path_;
  Preprocess preprocess_;
  std::optional<CorruptionChoice> corruption_;
  SampleOrder order_;
  bool labels_are_given_;
  LabelArray labels_;
  std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<DataSet> open_pictures(PictureFiles files, const std::string& path, const DataOptions& options) {
  return std::make_unique<PictureSet>(std::move(files), path, options);
}

}  // namespace lowbit
