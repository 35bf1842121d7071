// The survey of the weights, put into the words of the HTML page.
#include <fmt/format.h>

#include "lowbit/api/weight_survey.h"
#include "lowbit/base/text.h"
#include "lowbit/report/html_weights.h"
#include "lowbit/report/text_report.h"

namespace lowbit {
namespace {

WeightPage::Row row_of(const SurveyedSystem& system, bool best) {
  return {system.system, system.granularity, system.sqnr_db, system.bits, best};
}

}  // namespace

std::string survey_html(const Inspection& inspection, const std::vector<WeightSurvey>& weights, int bits,
                        const std::string& version) {
  WeightPage page;
  page.source = inspection.model.source_path;
  page.title = page.source.substr(page.source.find_last_of('/') + 1);
  page.version = version;
  page.bits = bits;
  const std::vector<ModelSurvey> model = summarize(weights, bits);
  for (const ModelSurvey& survey : model) page.model.push_back(row_of(survey.mean, &survey == &model.front()));
  page.sentence = model.empty()
                      ? fmt::format("No weight tensor is large enough to be stored in {} bits.", bits)
                      : fmt::format("At {} bits {} by {} keeps most of the weights: {} at {:.2f} bits stored.", bits,
                                    model.front().mean.system, model.front().mean.granularity,
                                    decibels_text(model.front().mean.sqnr_db), model.front().mean.bits);
  for (const WeightSurvey& weight : weights) {
    WeightPage::Figure figure;
    figure.name = weight.name;
    figure.shape = dims_text(weight.dims);
    figure.facts =
        fmt::format("{} weights; dynamic range {}, ranges of the channels 1 : {:.3g}.", with_commas(weight.count),
                    decibels_text(weight.dynamic_range_db), weight.channel_spread);
    figure.counts = weight.histogram;
    figure.low = weight.low;
    figure.high = weight.high;
    figure.level_system = weight.drawn_system;
    figure.levels = weight.levels;
    for (const SurveyedSystem& system : weight.systems)
      figure.rows.push_back(row_of(system, &system == &weight.systems.front()));
    page.figures.push_back(std::move(figure));
  }
  return to_html(page);
}

}  // namespace lowbit
