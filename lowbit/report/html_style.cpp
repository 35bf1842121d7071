#include "lowbit/report/html_parts.h"

namespace lowbit::html {

std::string_view style() {
  return R"css(
:root { color-scheme: light dark;
  --paper: #f7f7f4; --card: #ffffff; --ink: #1c2024; --soft: #62686f; --line: #e2e2dc;
  --accent: #0b6e6e; --float: #8a94a0; --good: #1d7f45; --warn: #a96a00; --bad: #b3312c; --shade: #eef3f2; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171a; --card: #1c2125; --ink: #e6e8ea; --soft: #98a1a9; --line: #2e353b;
  --accent: #4fc3bd; --float: #77828d; --good: #5fc98a; --warn: #e0a94a; --bad: #ef7d74; --shade: #20282b; } }
* { box-sizing: border-box; }
body { overflow-wrap: break-word; margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
header p { overflow-wrap: anywhere; margin: 0; color: var(--soft); font-size: .875rem; }
h1 { margin: .25rem 0 1rem; font-size: 1.75rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.75rem 0 .5rem; font-size: 1.2rem; }
h2 + p { margin: 0 0 1rem; color: var(--soft); max-width: 46rem; }
.verdict { font-size: 1.15rem; line-height: 1.45; max-width: 46rem; margin: 0 0 1.5rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(11.5rem, 1fr)); gap: .875rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .9rem 1rem; }
.card h3 { margin: 0; font-size: .8125rem; font-weight: 600; color: var(--soft); }
.card .figure { font-size: 1.65rem; font-weight: 650; line-height: 1.3; font-variant-numeric: tabular-nums; }
.card p { margin: 0; font-size: .8125rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.card svg { display: block; width: 100%; height: 2.2rem; margin-top: .4rem; }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
ul.findings { list-style: none; margin: 0; padding: 0; display: grid; gap: .6rem; }
ul.findings li { background: var(--card); border: 1px solid var(--line); border-left: .25rem solid var(--accent); border-radius: .4rem; padding: .6rem .9rem; overflow-wrap: anywhere; }
ul.findings li.attention { border-left-color: var(--warn); }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .875em; }
code { background: var(--shade); border-radius: .25rem; padding: .05em .35em; overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .9rem 1rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
table { border-collapse: collapse; width: 100%; font-size: .8125rem; }
th, td { text-align: left; padding: .4rem .55rem; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
th { font-weight: 600; color: var(--soft); white-space: nowrap; }
th button { all: unset; cursor: pointer; } th button:focus-visible { outline: 2px solid var(--accent); }
th[aria-sort="ascending"] button::after { content: " ▲"; } th[aria-sort="descending"] button::after { content: " ▼"; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.name { min-width: 9rem; max-width: 22rem; overflow-wrap: anywhere; }
td.note { min-width: 9rem; color: var(--soft); }
tr.kept td.state { color: var(--warn); } tr.low td.state { color: var(--good); }
td.state { white-space: nowrap; font-weight: 600; }
.bars { display: grid; grid-template-columns: minmax(6rem, 15rem) 1fr; gap: .3rem .8rem; align-items: center; font-size: .8125rem; }
.bars .label { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bars .set { display: grid; gap: 2px; }
.bar { display: flex; align-items: center; gap: .5rem; font-variant-numeric: tabular-nums; }
.bar svg { flex: 1 1 auto; height: .6rem; min-width: 3rem; } .bar span { flex: 0 0 4.6rem; color: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin: 0 0 .9rem; font-size: .8125rem; color: var(--soft); }
.legend i { display: inline-block; width: .75rem; height: .75rem; border-radius: .15rem; margin-right: .4rem; vertical-align: -.08rem; }
.multiples { display: grid; grid-template-columns: repeat(auto-fill, minmax(12.5rem, 1fr)); gap: .875rem; }
.multiples figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .7rem .8rem; }
.multiples figcaption { font-size: .8125rem; } .multiples figcaption b { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-weight: 600; }
.multiples figcaption span { color: var(--soft); font-variant-numeric: tabular-nums; }
.multiples svg { display: block; width: 100%; height: 5rem; margin: .4rem 0 .1rem; }
.ends { display: flex; justify-content: space-between; font-size: .75rem; color: var(--soft); font-variant-numeric: tabular-nums; }
table.models { width: auto; min-width: min(100%, 34rem); } table.models th[scope=row], table.shifted th[scope=row] { white-space: nowrap; color: var(--ink); font-weight: 500; text-align: left; }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: .875rem; }
.example { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; overflow: hidden; font-size: .8125rem; }
.example svg { display: block; width: 100%; aspect-ratio: 4 / 3; background: var(--shade); image-rendering: auto; }
.example figcaption { padding: .5rem .75rem .6rem; } .example p { margin: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.example p span { display: inline-block; min-width: 3.6em; color: var(--soft); } .example small { color: var(--soft); } .example p.name { color: var(--soft); font-size: .75rem; margin-top: .2rem; }
.bf { --bits: var(--float); } .b16 { --bits: #5a7fd6; } .b8 { --bits: #12908a; } .b4 { --bits: #a08a00; } .b3 { --bits: #cf6f12; } .b2 { --bits: #cc3d52; } .b1 { --bits: #9747b8; }
.legend i.bf, .legend i.b16, .legend i.b8, .legend i.b4, .legend i.b3, .legend i.b2, .legend i.b1 { background: var(--bits); }
.graph { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .5rem .75rem; font-size: .8125rem; overflow-x: auto; }
.node { display: grid; grid-template-columns: max-content 7.5rem 7.2rem 6.4rem minmax(6rem, 1fr) 8.5rem; gap: .5rem; align-items: center; height: 28px; }
.node svg { display: block; } .node path { fill: none; stroke: var(--soft); stroke-width: 1.5; } .node circle { fill: var(--bits); stroke: var(--card); stroke-width: 1.5; }
.node b { font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; } .node .label { color: var(--soft); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.chip { font-style: normal; font-size: .75rem; justify-self: start; max-width: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; border-radius: .8rem; padding: 0 .5rem; border: 1px solid var(--bits); color: color-mix(in srgb, var(--bits) 80%, var(--ink)); background: color-mix(in srgb, var(--bits) 14%, transparent); } .chip.none { border: 0; background: none; }
.db { position: relative; padding-left: 3.6rem; color: var(--soft); font-variant-numeric: tabular-nums; white-space: nowrap; } .db u { position: absolute; left: 0; top: .45em; height: .5em; max-width: 3.2rem; border-radius: .2rem; }
details { margin: .9rem 0 0; } summary { cursor: pointer; color: var(--accent); font-weight: 600; } details p { color: var(--soft); max-width: 46rem; }
footer { margin-top: 3rem; color: var(--soft); font-size: .8125rem; }
@media (max-width: 34rem) { main { padding: 1.25rem .9rem 3rem; } h1 { font-size: 1.4rem; } .bars { grid-template-columns: 1fr; gap: .15rem; } .bars .set { margin-bottom: .5rem; }
  .examples { grid-template-columns: 1fr 1fr; } .node { grid-template-columns: max-content minmax(3.5rem, 1fr) max-content max-content; gap: .4rem; } .node .label, .node .db { display: none; } .graph { padding: .5rem .4rem; } td.name { min-width: 7rem; } }
@media print { :root { --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #ccc; }
  body { font-size: 10pt; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } main { max-width: none; padding: 0; } table { font-size: 7.5pt; } th, td { padding: .25rem .3rem; } td.name, td.note { min-width: 0; }
  .graph { border: 0; padding: 0; overflow: visible; } .node { break-inside: avoid; } th button::after { content: none !important; } h2 { break-after: avoid; } .card, figure, li, tr { break-inside: avoid; } .scroll { overflow: visible; border: 0; } }
)css";
}

std::string_view script() {
  // Sorting by a click on a heading; a second click turns the order round. Cells may carry their number in data-v.
  return R"js(
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(part => part.open = true));
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const key = (row, i) => { const cell = row.cells[i]; return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v); };
  heads.forEach((head, i) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const order = (a, b) => { const x = key(a, i), y = key(b, i); return typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y)); };
    [...body.rows].sort((a, b) => down ? order(b, a) : order(a, b)).forEach(row => body.append(row));
  }));
}
)js";
}

}  // namespace lowbit::html
