// The network from top to bottom, one row a node, as a history of versions is drawn: lanes at the left carry the
// values, colours say how many bits. It wraps on a phone and breaks across printed pages, which one large drawing would
// not.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/report/html_parts.h"
#include "lowbit/report/text_report.h"

namespace lowbit::html {
namespace {

constexpr size_t kMostNodes = 800;
constexpr int kRow = 28, kLane = 16;
constexpr double kFullNodeBarDb = 60;

/// A lane holds the value of a node until its last reader.
struct Lane {
  int32_t node = -1;
  int64_t readers = 0;
};

/// The drawing of one row: what passes by, what comes in, what leaves.
struct Row {
  size_t lane = 0;
  std::vector<size_t> passing, incoming;
  bool leaves = false;
};

std::vector<Row> assign_lanes(const std::vector<DrawnNode>& graph, size_t& width) {
  std::vector<int64_t> readers(graph.size(), 0);
  for (const DrawnNode& node : graph)
    for (const int32_t input : node.inputs) ++readers[static_cast<size_t>(input)];
  std::vector<Lane> lanes;
  std::vector<Row> rows;
  width = 1;
  for (size_t n = 0; n < graph.size(); ++n) {
    Row row;
    std::optional<size_t> place;
    for (size_t l = 0; l < lanes.size(); ++l) {
      if (lanes[l].node < 0) continue;
      const bool read =
          std::find(graph[n].inputs.begin(), graph[n].inputs.end(), lanes[l].node) != graph[n].inputs.end();
      if (read) row.incoming.push_back(l);
      if (read && --lanes[l].readers == 0) {
        lanes[l].node = -1;
        if (!place) place = l;
      } else {
        row.passing.push_back(l);
      }
    }
    if (!place) {
      const auto free = std::find_if(lanes.begin(), lanes.end(), [](const Lane& lane) { return lane.node < 0; });
      place = static_cast<size_t>(free - lanes.begin());
      if (*place == lanes.size()) lanes.emplace_back();
    }
    row.lane = *place;
    row.leaves = readers[n] > 0;
    lanes[*place] = {row.leaves ? static_cast<int32_t>(n) : -1, readers[n]};
    width = std::max(width, lanes.size());
    rows.push_back(std::move(row));
  }
  return rows;
}

/// float, 9 and more, 8 ... 5, 4, 3, 2, 1 bits.
const char* bits_class(double bits) {
  return bits <= 0  ? "bf"
         : bits > 8 ? "b16"
         : bits > 4 ? "b8"
         : bits > 3 ? "b4"
         : bits > 2 ? "b3"
         : bits > 1 ? "b2"
                    : "b1";
}

std::string lanes_svg(const Row& row, size_t width, const DrawnNode& node) {
  const auto x = [](size_t lane) { return kLane / 2 + kLane * static_cast<int>(lane); };
  std::string path;
  for (const size_t lane : row.passing) path += fmt::format("M{} 0V{}", x(lane), kRow);
  const int middle = kRow / 2, own = x(row.lane);
  for (const size_t lane : row.incoming)
    path += lane == row.lane ? fmt::format("M{} 0V{}", own, middle)
                             : fmt::format("M{0} 0C{0} {1} {2} 0 {2} {1}", x(lane), middle, own);
  if (row.leaves) path += fmt::format("M{} {}V{}", own, middle, kRow);
  return fmt::format(
      "<svg width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" aria-hidden=\"true\"><path d=\"{2}\"/><circle "
      "cx=\"{3}\" "
      "cy=\"{4}\" r=\"5\" class=\"{5}\"/></svg>",
      kLane * static_cast<int>(width), kRow, path, own, middle,
      bits_class(node.has_weights ? node.weight_bits : node.value_bits));
}

std::string chip(double bits, const std::string& text, const char* what) {
  return fmt::format("<i class=\"chip {}\" title=\"{}\">{}</i>", bits_class(bits), what,
                     escape_html(text.empty() ? "float" : text));
}

std::string decibels(const std::optional<double>& db) {
  if (!db) return "<span class=\"db\"></span>";
  const double share = std::isfinite(*db) ? std::clamp(*db / kFullNodeBarDb, 0.0, 1.0) : *db > 0 ? 1.0 : 0.0;
  const char* tone = *db < 15 ? "--bad" : *db < 25 ? "--warn" : "--good";
  return fmt::format("<span class=\"db\"><u style=\"width:{:.0f}%;background:var({})\"></u>{}</span>", 100 * share,
                     tone, escape_html(decibels_text(*db)));
}

}  // namespace

std::string graph(const std::vector<DrawnNode>& nodes) {
  if (nodes.empty()) return "";
  const size_t shown = std::min(nodes.size(), kMostNodes);
  size_t width = 1;
  const std::vector<Row> rows =
      assign_lanes({nodes.begin(), nodes.begin() + static_cast<std::ptrdiff_t>(shown)}, width);
  std::string body;
  for (size_t n = 0; n < shown; ++n) {
    const DrawnNode& node = nodes[n];
    body +=
        fmt::format("<div class=\"node\">{}<b>{}</b>{}{}<span class=\"label\" title=\"{}\">{}</span>{}</div>\n",
                    lanes_svg(rows[n], width, node), escape_html(node.op),
                    node.has_weights ? chip(node.weight_bits, node.weights, "weights") : "<i class=\"chip none\"></i>",
                    chip(node.value_bits, node.activations, "result"), escape_html(node.name), escape_html(node.name),
                    decibels(node.accumulated_db));
  }
  const std::string more =
      shown < nodes.size() ? fmt::format(" Shown: the first {} of {} nodes.", shown, nodes.size()) : std::string();
  return "<section><h2>The network, by bits</h2>\n<p>From input to output, with the values that flow. The first mark "
         "is the "
         "number system of the weights, the second that of the result; the bar is the signal-to-noise ratio of the "
         "result "
         "with everything before it low-bit." +
         more +
         "</p>\n<div class=\"legend\"><span><i class=\"bf\"></i>float</span><span><i class=\"b16\"></i>9 to 16 "
         "bits</span><span><i class=\"b8\"></i>5 to 8</span><span><i class=\"b4\"></i>4</span><span><i "
         "class=\"b3\"></i>3</span><span><i class=\"b2\"></i>2</span><span><i class=\"b1\"></i>1</span></div>\n<div "
         "class=\"graph\">\n" +
         body + "</div></section>\n";
}

}  // namespace lowbit::html
