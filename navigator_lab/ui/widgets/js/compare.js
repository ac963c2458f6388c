// Two to four targets beside each other, showing only what differs.
import { h, glyph, name } from "./dom.js";
import { interval, significant, ratio, bytes, THIN } from "./numbers.js";
import { at, memory } from "./points.js";

export function view(app) {
  const rows = app.get("selection").map((t) => app.rows().find((r) => r.target === t)).filter(Boolean).slice(0, 4);
  if (rows.length < 2) return h("p", { class: "empty mut" }, "Select two to four targets with Shift-click in the table or the plot; only their differences appear here.");
  const size = app.batch();
  const lines = [];
  const add = (label, read, score) => {
    const words = rows.map((r) => read(r) ?? "–");
    if (new Set(words).size < 2) return;
    let best = -1;
    if (score) {
      const scores = rows.map(score);
      if (scores.every((x) => x !== null && x !== undefined)) best = scores.indexOf(Math.max(...scores));
    }
    lines.push(h("tr", {}, h("th", { scope: "row" }, label), words.map((w, i) => h("td", { class: `num ${i === best ? "best" : ""}` }, w))));
  };
  const b = (r) => at(r, size);
  add("Format", (r) => r.format);
  add("Precision", (r) => r.precision);
  add("Runner", (r) => `${r.runner} on ${r.device}`);
  add("Status", (r) => r.status);
  add("Reason", (r) => r.reason || null);
  add("Within tolerance", (r) => ({ true: "yes", false: "no" })[app.judge(r).passed]);
  const batches = new Set(rows.map((r) => b(r)?.batch));
  const where = batches.size === 1 ? `, batch ${[...batches][0]}` : "";
  if (!where) add("Batch", (r) => b(r) && String(b(r).batch));
  add(`p50${where}`, (r) => b(r) && `${interval(b(r).p50_ms, b(r).p50_ms_low, b(r).p50_ms_high)}${THIN}ms`, (r) => b(r) && -b(r).p50_ms);
  add(`p99${where}`, (r) => b(r) && `${significant(b(r).p99_ms)}${THIN}ms`, (r) => b(r) && -b(r).p99_ms);
  add(`Throughput${where}`, (r) => b(r) && `${interval(b(r).throughput, b(r).throughput_low, b(r).throughput_high)}${THIN}/s`, (r) => b(r)?.throughput);
  add("Worst error ÷ tolerance", (r) => (app.judge(r).worst === null || app.judge(r).worst === undefined ? null : `${ratio(app.judge(r).worst)}×`), (r) => { const w = app.judge(r).worst; return w === null || w === undefined ? null : -w; });
  for (const output of [...new Set(rows.flatMap((r) => Object.keys(app.judge(r).cells ?? {})))].slice(0, 20))
    add(`· ${output}`, (r) => { const c = app.judge(r).cells?.[output]; return c ? `${ratio(c.ratio)}×` : null; });
  add("SQNR", (r) => (r.sqnr_db === null ? null : `${significant(r.sqnr_db, 2)}${THIN}dB`), (r) => r.sqnr_db);
  add("Memory", (r) => (memory(r) === null ? null : bytes(memory(r))), (r) => (memory(r) === null ? null : -memory(r)));
  add("Size", (r) => (r.size_bytes === null ? null : bytes(r.size_bytes)), (r) => (r.size_bytes === null ? null : -r.size_bytes));
  add("Load", (r) => (r.load_ms === null ? null : `${significant(r.load_ms)}${THIN}ms`), (r) => (r.load_ms === null ? null : -r.load_ms));
  const noise = overlap(rows.map(b));
  return h("div", {}, h("div", { class: "tb" }, h("table", { class: "cmp", "aria-label": "Differences" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Property"), rows.map((r) => h("th", { scope: "col", class: "num" }, h("span", { class: "tn end" }, glyph(r.precision, app.colour(r.family)), name(r.target)))))),
    h("tbody", {}, lines))),
  h("p", { class: "sm mut foot" }, noise ? "Their throughputs are within noise of each other." : "The best of a line is bold; what is equal is left out."), app.code("compare"));
}

const overlap = (found) => found.every(Boolean) && found.every((a) => found.every((b) => a.throughput_low <= b.throughput_high && b.throughput_low <= a.throughput_high));
