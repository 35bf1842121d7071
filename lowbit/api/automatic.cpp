#include "lowbit/api/automatic.h"

#include <algorithm>
#include <chrono>
#include <map>

#include <fmt/format.h>

#include "lowbit/api/automatic_layers.h"
#include "lowbit/api/automatic_report.h"
#include "lowbit/api/automatic_scores.h"
#include "lowbit/api/compare.h"
#include "lowbit/api/recipe_file.h"
#include "lowbit/api/runner.h"
#include "lowbit/base/text.h"
#include "lowbit/data/window.h"
#include "lowbit/search/journal.h"

namespace lowbit {
namespace {

using search::Journal;

/// Divergence from which a repair in front of the default methods is worth a try.
constexpr double kDamage = 0.01;
/// How much less a repaired network must diverge to be preferred to the plain one.
constexpr double kWorthIt = 0.8;
constexpr double kBenchSeconds = 0.3;

const std::vector<std::vector<std::string>>& repairs() {
  static const std::vector<std::vector<std::string>> table = {{"equalize"}, {"equalize", "absorb-bias"}};
  return table;
}

Json drop_json(const search::Drop& d) {
  return {{"drop", d.value}, {"low", d.ci95.low}, {"high", d.ci95.high}, {"loss", d.loss}, {"samples", d.samples}};
}
search::Drop drop_from(const Json& j) {
  return {j.at("drop"), {j.at("low"), j.at("high")}, j.at("loss"), j.at("samples")};
}

class Automatic {
 public:
  Automatic(const Model& model, const AutomaticData& data, const Recipe& recipe, const AutomaticOptions& options,
            ThreadPool& threads, const Progress& progress)
      : model_(model),
        data_(data),
        recipe_(recipe),
        options_(options),
        threads_(threads),
        progress_(progress),
        candidates_(options.candidates.empty() ? default_candidates() : options.candidates),
        start_(std::chrono::steady_clock::now()) {
    recipe_.weights = candidates_.front();
    if (options.journal.empty()) return;
    journal_.emplace(options.journal, subject());
  }

  AutomaticResult run() {
    settle_measure();
    repair();
    prepare_layers();
    const search::Outcome outcome = search_all();
    AutomaticResult result = choose(outcome);
    result.report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    return result;
  }

 private:
  /// What the journal's figures depend on.
  Json subject() const {
    return {{"model", options_.subject},
            {"recipe", to_toml(recipe_)},
            {"data", data_.split},
            {"candidates", candidates_},
            {"max_drop", options_.max_drop ? Json(*options_.max_drop) : Json(nullptr)},
            {"max_bytes", options_.max_bytes ? Json(*options_.max_bytes) : Json(nullptr)},
            {"max_ms", options_.max_ms ? Json(*options_.max_ms) : Json(nullptr)},
            {"format", options_.output.substr(std::min(options_.output.rfind('.'), options_.output.size()))},
            {"threads", options_.max_ms ? threads_.size() : 0}};
  }

  Json remember(const std::string& key, const std::function<Json()>& compute) {
    return journal_ ? journal_->remember(key, compute) : memory_.remember(key, compute);
  }

  void say(std::string_view what, double share) const {
    if (progress_) progress_(what, share);
  }

  QuantizeResult quantized(const Recipe& recipe) const {
    QuantizeResult result = quantize(model_, &data_.calibration, recipe, threads_);
    if (options_.describe) options_.describe(result);
    return result;
  }

  /// The float network with the edits of the recipe's methods: what sensitivities are measured in.
  Model float_network(const Recipe& recipe) const {
    Recipe plain = recipe;
    plain.weights = plain.activations = "none";
    plain.rules.clear();
    plain.include.clear();
    plain.exclude.clear();
    std::erase(plain.methods, "default");
    if (plain.methods.empty()) plain.methods = {"none"};
    return quantize(model_, &data_.calibration, plain, threads_).model;
  }

  double divergence_of(const Graph& graph) const { return few_reference_->compare(graph).loss; }

  /// What a drop means for these data.
  void settle_measure() {
    const Json found = remember("measure", [&] {
      return Json{{"measure", static_cast<int>(selection().measure())}, {"note", selection().note()}};
    });
    const int measure = found.at("measure");
    LOWBIT_CHECK(measure >= 0 && measure <= static_cast<int>(search::Measure::output_error));
    measure_ = static_cast<search::Measure>(measure);
    if (const auto note = found.at("note").get<std::string>(); !note.empty()) notes_.push_back(note);
  }

  /// Methods that repair what the widest candidate damages; names the causes.
  void repair() {
    say("looking for damage", 0);
    few_data_ = window_of_calibration();
    few_reference_.emplace(model_, *few_data_, threads_);
    const Json found = remember("repair", [&] {
      Json tried = Json::array();
      QuantizeResult plain = quantized(recipe_);
      const double plain_loss = divergence_of(plain.model.graph);
      tried.push_back({{"methods", recipe_.methods}, {"loss", plain_loss}});
      const bool free_to_choose = recipe_.methods == std::vector<std::string>{"default"};
      Json causes = Json::array();
      if (plain_loss > kDamage) causes = causes_of(plain.model);
      if (plain_loss > kDamage && free_to_choose)
        for (const std::vector<std::string>& repair : repairs()) {
          Recipe repaired = recipe_;
          repaired.methods.insert(repaired.methods.begin(), repair.begin(), repair.end());
          say("trying " + join(repair, ", "), 0.5);
          tried.push_back({{"methods", repaired.methods}, {"loss", divergence_of(quantized(repaired).model.graph)}});
        }
      return Json{{"tried", tried}, {"causes", causes}};
    });
    const auto loss_of = [](const Json& j) { return j.at("loss").get<double>(); };
    const Json* best = &found.at("tried").at(0);
    for (const Json& other : found.at("tried"))
      if (loss_of(other) < kWorthIt * loss_of(*best)) best = &other;
    recipe_.methods = best->at("methods").get<std::vector<std::string>>();
    for (const Json& cause : found.at("causes")) causes_.push_back(cause.get<std::string>());
    if (best != &found.at("tried").at(0))
      notes_.push_back(
          fmt::format("{} in front of the default methods: the output diverges {:.3g} instead of {:.3g}",
                      join(std::vector<std::string>(recipe_.methods.begin(), recipe_.methods.end() - 1), ", "),
                      loss_of(*best), loss_of(found.at("tried").at(0))));
  }

  std::unique_ptr<DataSet> window_of_calibration() const;
  Json causes_of(const Model& low) const;

  void prepare_layers() {
    const QuantizeResult base = quantized(recipe_);
    const Model edited = float_network(recipe_);
    groups_ = layer_groups(edited.graph, recipe_, base.coverage);
    if (groups_.empty())
      throw Error(
          ErrorCode::bad_argument,
          "the network has no layer whose weights the automatic mode could choose for (see --include, --exclude)",
          model_.source_path);
    int64_t macs = 0;
    for (const LayerDecision& layer : base.coverage.layers) macs += layer.macs;
    const Json table = remember("layers", [&] {
      const CandidateWeights weights(model_, data_.calibration, recipe_, candidates_, threads_, progress_);
      const double runs = 0.5 * static_cast<double>(groups_.size() * candidates_.size());
      const search::Sensitivity sensitivity(edited.graph,
                                            few_samples(edited.graph, data_.calibration, macs, runs, threads_),
                                            data_.selection.has_labels(), threads_);
      Json result = {{"losses", weights.losses(edited.graph, groups_, sensitivity, progress_)},
                     {"bytes", weights.bytes(base.model, groups_, options_.output, options_.lower, progress_)},
                     {"kind", search::kind_name(sensitivity.kind())}};
      if (options_.max_ms) {
        const LayerTimes times =
            measure_times(model_, data_.calibration, recipe_, groups_, candidates_, threads_, progress_);
        result["ms"] = times.ms;
        result["rest_ms"] = times.rest;
      }
      return result;
    });
    loss_name_ = table.at("kind").get<std::string>();
    fill_problem(table, base);
  }

  /// Layers with the cheapest candidate's bytes moved into the fixed part.
  void fill_problem(const Json& table, const QuantizeResult& base) {
    const auto base_bytes =
        static_cast<double>(predicted_file_bytes(base.model, options_.output, options_.lower).value_or(0));
    problem_.fixed.bytes = base_bytes;
    for (size_t g = 0; g < groups_.size(); ++g) {
      search::Layer layer{groups_[g].names, groups_[g].op, candidates_, {}};
      const auto bytes = table.at("bytes").at(g).get<std::vector<double>>();
      const double least = *std::min_element(bytes.begin(), bytes.end());
      problem_.fixed.bytes += least - base_bytes;
      for (size_t c = 0; c < candidates_.size(); ++c)
        layer.choices.push_back({bytes[c] - least, options_.max_ms ? table.at("ms").at(c).at(g).get<double>() : 0.0,
                                 table.at("losses").at(g).at(c).get<double>()});
      problem_.layers.push_back(std::move(layer));
    }
    problem_.fixed.bytes = std::max(0.0, problem_.fixed.bytes);
    if (options_.max_ms) {
      const auto rest = table.at("rest_ms").get<std::vector<double>>();
      problem_.fixed.ms = *std::min_element(rest.begin(), rest.end());
    }
  }

  std::vector<std::string> systems(const std::vector<uint16_t>& chosen) const {
    std::vector<std::string> names;
    for (const uint16_t c : chosen) names.push_back(candidates_[c]);
    return names;
  }
  Recipe recipe_for(const std::vector<uint16_t>& chosen) const {
    return with_weights(recipe_, groups_, systems(chosen));
  }
  static std::string key_of(const std::vector<std::string>& names) { return join(names, " "); }

  search::Measured evaluate(const std::vector<uint16_t>& chosen) {
    const int64_t number = ++evaluations_;
    latest_.reset();
    const Json found = remember("evaluate " + key_of(systems(chosen)), [&] {
      const std::string what = fmt::format("evaluation {} of at most {}", number, options_.evaluations);
      say(what, 0);
      latest_ = quantized(recipe_for(chosen));
      const QuantizeResult& result = *latest_;
      Json j = drop_json(selection().compare(result.model.graph, [&](double share) { say(what, share); }));
      j["bytes"] = predicted_file_bytes(result.model, options_.output, options_.lower).value_or(0);
      j["ms"] = 0.0;
      if (options_.max_ms) {
        BenchOptions bench;
        bench.seconds = kBenchSeconds;
        j["ms"] = bench_model(result.model, model_.source_path, threads_, bench).ms_median;
      }
      return j;
    });
    return {drop_from(found), found.at("bytes").get<double>(), found.at("ms").get<double>()};
  }

  const ReferenceScores& selection() {
    if (!selection_) {
      say("float network on the selection data", 0);
      selection_.emplace(model_, data_.selection, threads_);
    }
    return *selection_;
  }

  double elapsed() const {
    return elapsed_before_ + std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  /// Decided by the clock, and so recorded.
  bool time_is_up() {
    if (!options_.seconds) return false;
    const std::string key = fmt::format("time up after {} evaluations of {} s", evaluations_, *options_.seconds);
    const Json found = remember(key, [&] {
      const double now = elapsed();
      return Json{{"elapsed", now}, {"up", now >= *options_.seconds}};
    });
    elapsed_before_ = std::max(elapsed_before_, found.at("elapsed").get<double>() - (elapsed() - elapsed_before_));
    return found.at("up").get<bool>();
  }

  search::Outcome search_all() {
    problem_.target = {options_.max_drop,
                       options_.max_bytes ? std::optional(static_cast<double>(*options_.max_bytes)) : std::nullopt,
                       options_.max_ms};
    problem_.most_evaluations = options_.evaluations;
    problem_.stop = [this] { return time_is_up(); };
    problem_.evaluate = [this](const std::vector<uint16_t>& chosen) { return evaluate(chosen); };
    problem_.progress = [this, best = size_t{0}, first = true](const search::Trial& trial, size_t now) mutable {
      trials_so_far_.push_back(trial);
      const bool better = first || now != best;
      first = false;
      best = now;
      if (better && options_.on_better && latest_ && now + 1 == trials_so_far_.size())
        options_.on_better(*latest_, search_point(trial, static_cast<int>(now) + 1, candidates_));
    };
    return search::run_search(problem_);
  }

  AutomaticResult choose(const search::Outcome& outcome);
  search::Drop final_drop(size_t trial, const search::Outcome& outcome, std::optional<QuantizeResult>& result);
  size_t picked_trial(const search::Outcome& outcome) const;

  const Model& model_;
  const AutomaticData& data_;
  Recipe recipe_;
  const AutomaticOptions& options_;
  ThreadPool& threads_;
  const Progress& progress_;
  std::vector<std::string> candidates_;
  std::chrono::steady_clock::time_point start_;
  double elapsed_before_ = 0;
  std::optional<Journal> journal_;
  Journal memory_;
  std::unique_ptr<DataSet> few_data_;
  std::optional<ReferenceScores> few_reference_, selection_, final_;
  search::Measure measure_ = search::Measure::accuracy;
  std::vector<LayerGroup> groups_;
  search::Problem problem_;
  std::vector<search::Trial> trials_so_far_;
  std::optional<QuantizeResult> latest_;  ///< of the latest evaluation, if it was not in the journal
  std::string loss_name_;
  std::vector<std::string> causes_, notes_;
  int64_t evaluations_ = 0;
};

std::unique_ptr<DataSet> Automatic::window_of_calibration() const {
  constexpr int64_t kFew = 128;
  // A view that does not own the data: they outlive the search.
  const std::shared_ptr<const DataSet> whole(&data_.calibration, [](const DataSet*) {});
  return window(whole, 0, std::min(kFew, data_.calibration.size()));
}

/// What the worst layers suffer from, in words.
Json Automatic::causes_of(const Model& low) const {
  constexpr int64_t kSamples = 16;
  constexpr size_t kMost = 5;
  const std::shared_ptr<const DataSet> whole(&data_.calibration, [](const DataSet*) {});
  const auto samples = window(whole, 0, std::min(kSamples, data_.calibration.size()));
  Json causes = Json::array();
  std::vector<LayerError> layers = compare_models(model_, low, *samples, threads_, {}).layers;
  std::stable_sort(layers.begin(), layers.end(),
                   [](const LayerError& a, const LayerError& b) { return a.local.sqnr_db < b.local.sqnr_db; });
  for (const LayerError& layer : layers)
    if (!layer.cause.empty() && causes.size() < kMost)
      causes.push_back(
          fmt::format("{}: {}{}", layer.name, layer.cause, layer.remedy.empty() ? "" : " (" + layer.remedy + ")"));
  return causes;
}

/// On the final data; recorded.
search::Drop Automatic::final_drop(size_t trial, const search::Outcome& outcome,
                                   std::optional<QuantizeResult>& result) {
  const std::vector<uint16_t>& chosen = outcome.trials[trial].chosen;
  result = quantized(recipe_for(chosen));
  return drop_from(remember("final " + key_of(systems(chosen)), [&] {
    say("float network on the final data", 0);
    if (!final_) final_.emplace(model_, data_.final, threads_);
    return drop_json(
        final_->compare(result->model.graph, [&](double share) { say("evaluating on the final data", share); }));
  }));
}

size_t Automatic::picked_trial(const search::Outcome& outcome) const {
  const auto by = [&](auto less) {
    size_t best = 0;
    for (size_t t = 1; t < outcome.trials.size(); ++t)
      if (less(outcome.trials[t].measured, outcome.trials[best].measured)) best = t;
    return best;
  };
  if (options_.pick == "smallest") return by([](const auto& a, const auto& b) { return a.bytes < b.bytes; });
  if (options_.pick == "accurate") return by([](const auto& a, const auto& b) { return a.drop.loss < b.drop.loss; });
  const auto number = parse_int(options_.pick);
  if (!number || *number < 1 || *number > static_cast<int64_t>(outcome.trials.size()))
    throw Error(ErrorCode::bad_argument,
                fmt::format("'{}' is no configuration that was tried (1 to {}, smallest or accurate)",
                            printable(options_.pick, 40), outcome.trials.size()),
                "--pick");
  return static_cast<size_t>(*number - 1);
}

AutomaticResult Automatic::choose(const search::Outcome& outcome) {
  AutomaticResult result;
  std::vector<size_t> order = outcome.ladder;
  if (!options_.pick.empty()) order = {picked_trial(outcome)};
  if (order.empty()) order = {outcome.best};
  // With estimates instead of intervals nothing can be shown step by step: only the choice is asked about.
  if (!outcome.interval_decided) order = {order.back()};
  std::optional<QuantizeResult> made, last_made;
  search::Drop drop;
  size_t picked = order.front();
  int64_t tests = 0;
  for (const size_t trial : order) {
    const search::Drop found = final_drop(trial, outcome, made);
    ++tests;
    const bool passes = !options_.max_drop || search::judge(found, *options_.max_drop) == search::Verdict::met;
    if (tests > 1 && !passes) break;
    picked = trial;
    drop = found;
    last_made = std::move(made);
    if (!passes) break;
  }
  result.recipe = recipe_for(outcome.trials[picked].chosen);
  result.result = std::move(*last_made);
  result.report = make_search_report({outcome, problem_, options_, candidates_, measure_, picked, drop, tests});
  SearchReport& report = result.report;
  report.loss_name = loss_name_;
  report.split = data_.split;
  report.float_bytes = model_.file_bytes;
  report.calibration_samples = data_.calibration.size();
  report.selection_samples = data_.selection.size();
  report.causes = causes_;
  report.resumed = journal_ && journal_->found() > 0;
  report.notes.insert(report.notes.begin(), notes_.begin(), notes_.end());
  return result;
}

}  // namespace

std::vector<std::string> default_candidates() { return {"int8", "int6", "int5", "int4", "int3", "int2"}; }

AutomaticResult quantize_automatically(const Model& model, const AutomaticData& data, const Recipe& recipe,
                                       const AutomaticOptions& options, ThreadPool& threads, const Progress& progress) {
  return Automatic(model, data, recipe, options, threads, progress).run();
}

}  // namespace lowbit
