// Section 4: what was found, in views that share one selection, one set of limits, one tolerance.
import { h, icon, chip } from "./dom.js";
import { significant, interval, ratio, bytes, THIN } from "./numbers.js";
import { LIMITS, at, memory } from "./points.js";
import { stateOf } from "./shared.js";
import * as table from "./table.js";
import * as pareto from "./pareto.js";
import * as tolerance from "./tolerance.js";
import * as compare from "./compare.js";
import * as parallel from "./parallel.js";
import * as mixer from "./mixer.js";

const VIEWS = { table: ["Table", table], pareto: ["Pareto", pareto], tolerance: ["Tolerance", tolerance], parallel: ["Parallel", parallel], compare: ["Compare", compare], mixer: ["Mixer", mixer] };

export function tally(app) {
  const rows = app.rows();
  const measured = rows.filter((r) => r.batches.length).length;
  const many = (word, list) => (list.length ? `, ${list.length} ${word}` : "");
  return `${measured} of ${rows.length} measured` + many("failed", rows.filter((r) => r.status === "failed")) +
    many("out of tolerance", rows.filter((r) => r.status === "done" && app.judge(r).passed === false)) +
    many("stale", rows.filter((r) => r.stale)) + (app.running() ? "; updates as they arrive" : "");
}

export const summary = (app) => (app.rows().length ? tally(app) : "After the run");
export const tools = (app) => (app.rows().length ? h("span", { class: "mut sm" }, tally(app)) : null);

export function body(app) {
  if (!app.rows().length)
    return h("p", { class: "empty mut" }, app.running() ? "Results appear here as targets are settled." :
      "A table, throughput against latency, and error against tolerance appear here. Run some targets first.");
  const tab = VIEWS[app.get("tab")] ? app.get("tab") : "table";
  const tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Views of the results" }, Object.entries(VIEWS).map(([key, [label]]) =>
    h("button", { role: "tab", id: `${app.id}-tab-${key}`, "data-k": `tab-${key}`, "aria-selected": String(tab === key), tabindex: tab === key ? 0 : -1,
      "aria-controls": `${app.id}-view`, onclick: () => app.set("tab", key) }, label)),
  h("span", { class: "sp" }), h("span", { class: "sm mut tally" }, app.get("selection").length ? `${app.get("selection").length} selected` : ""));
  tabs.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!way) return;
    event.preventDefault();
    event.stopPropagation();
    const keys = Object.keys(VIEWS);
    const next = keys[(keys.indexOf(tab) + way + keys.length) % keys.length];
    app.focus = `tab-${next}`;
    app.set("tab", next);
  });
  const view = h("div", { class: "view", id: `${app.id}-view`, role: "tabpanel", "aria-labelledby": `${app.id}-tab-${tab}` }, VIEWS[tab][1].view(app));
  return h("div", { onkeydown: (event) => { if (event.key === "Escape" && app.get("selection").length) { app.set("selection", []); event.stopPropagation(); } } },
    tabs, h("div", { class: "res" }, view, inspector(app)));
}

// The selected target in full, beside every view.
function inspector(app) {
  const target = app.get("selection")[0];
  const row = target && app.rows().find((r) => r.target === target);
  if (!row) return h("aside", { class: "insp mut" }, "Select a target: a row, a point or a cell. Shift-click adds another, Escape clears.");
  const { passed, worst, at: output, cells } = app.judge(row);
  const size = app.batch();
  const batch = at(row, size);
  const base = app.rows().find((r) => r.target === app.get("results").baseline);
  const ground = base && batch && base.batches.find((b) => b.batch === batch.batch);
  const limit = (key, found) => { const bound = app.get("limits")[key]; return bound === undefined || found === null ? "" : ` ${found <= bound ? "≤" : ">"} ${Number((bound / LIMITS[key].per).toPrecision(4))}${THIN}${LIMITS[key].unit}`; };
  const lines = [];
  const add = (key, words) => words !== null && lines.push(h("dt", {}, key), h("dd", {}, words));
  if (batch) {
    add(`p50, batch ${batch.batch}`, `${interval(batch.p50_ms, batch.p50_ms_low, batch.p50_ms_high)}${THIN}ms${limit("p50_ms", batch.p50_ms)}`);
    add("p99", `${significant(batch.p99_ms)}${THIN}ms${limit("p99_ms", batch.p99_ms)}`);
    add("Throughput", `${interval(batch.throughput, batch.throughput_low, batch.throughput_high)}${THIN}/s`);
    add("× baseline", ground ? `${ratio(batch.throughput / ground.throughput)}×` : "–");
    if (!batch.stable) add("Noise", batch.note || "not stable");
  } else if (row.status === "done" && !row.waiting) add("Latency", "not measured");
  if (worst !== null && worst !== undefined) add("Worst error", worst === 0 ? "none, equal" : `${ratio(worst)}× tol.${output ? `, ${output}` : ""}`);
  add("SQNR", row.sqnr_db === null ? null : `${significant(row.sqnr_db, 2)}${THIN}dB`);
  add("Same label", row.top1_agreement === null ? null : `${significant(100 * row.top1_agreement)}${THIN}%`);
  for (const [key, v] of Object.entries(row.metrics ?? {})) if (typeof v === "number") add(key, significant(v));
  add("Memory", memory(row) === null ? null : bytes(memory(row)) + limit("memory_bytes", memory(row)));
  add("Size", row.size_bytes === null ? null : bytes(row.size_bytes));
  add("Load", row.load_ms === null ? null : `${significant(row.load_ms)}${THIN}ms`);
  const [state] = stateOf(app, row);
  const verdict = passed === false ? Object.entries(cells ?? {}).filter(([, c]) => !c.passed).map(([n, c]) =>
    `${n}: ${c.why || `error ${ratio(c.ratio)}× the tolerance`}`).join("; ") : "";
  const marks = { done: "done", failed: "failed", skipped: "skipped", cancelled: "cancelled" };
  const may = row.status === "done" && passed !== false && !row.stale && !row.waiting;
  return h("aside", { class: "insp", "aria-label": "The selected target" },
    h("div", { class: "mono wrap" }, row.target),
    h("div", { class: "row chips" }, chip(state), app.get("chosen") === row.target && chip("choice"), row.target === app.get("results").baseline && h("span", { class: "chip" }, "baseline")),
    (row.status === "done" ? verdict : row.reason) && h("p", { class: "wrap" }, row.status === "done" ? verdict : row.reason),
    row.stale && h("p", { class: "wrap" }, row.stale),
    row.remedy && h("p", { class: "mut wrap" }, `Remedy: ${row.remedy}`),
    h("dl", { class: "kv" }, lines),
    (row.notes ?? []).slice(0, 4).map((words) => h("p", { class: "sm mut wrap", title: words }, words.length > 240 ? `${words.slice(0, 239)}…` : words)),
    h("div", { class: "row chips" }, Object.entries(row.stages).map(([stage, s]) => h("span", { class: "st" }, h("span", { class: `s-${marks[s]}` }, icon(marks[s])), stage))),
    h("div", { class: "row acts" },
      h("button", { class: "btn", "data-k": "choose-row", "aria-disabled": !may || app.gone || undefined, onclick: () => { if (may && !app.gone) app.set("chosen", row.target); } }, "Choose"),
      h("button", { class: "btn", "data-k": "log-row", "aria-disabled": app.gone || undefined, onclick: () => { app.act("log", { target: row.target }); app.fold("run", true); } }, "Log"),
      h("button", { class: "btn", "data-k": "reproduce", "aria-disabled": app.gone || undefined, onclick: () => app.act("reproduce", { target: row.target }) }, "Reproduce")),
    app.get("detail").reproduce?.target === row.target && h("pre", { class: "log wrap", tabindex: 0 }, app.get("detail").reproduce.text),
    app.code("selection"));
}
