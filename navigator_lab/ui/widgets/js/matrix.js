// Section 2: what can be run, as toggles; why the rest can't; what a run would cost.
import { h, icon, chip, WORDS } from "./dom.js";
import { seconds, bytes } from "./numbers.js";
import { measured } from "./points.js";

export const STAGES = ["export", "convert", "correctness", "profile", "verify"];
const LEGEND = ["selected", "queued", "running", "cached", "done", "failed", "tol", "stale", "off", "unavailable"];

// What a run of these targets would do, from what the kernel foretold of each step.
export function cost(matrix, targets, until) {
  const last = STAGES.indexOf(until);
  const labels = new Set();
  let reach = 0;
  for (const target of targets) {
    const cell = matrix.cells[target];
    if (!cell || !cell.available) continue;
    reach += 1;
    STAGES.slice(0, last + 1).forEach((stage) => (cell.stages[stage] ?? []).forEach((l) => labels.add(l)));
  }
  const found = { targets: reach, run: 0, cached: 0, failed: 0, seconds: 0, bytes: 0, known: true };
  for (const label of labels) {
    const step = matrix.steps[label];
    if (!step) { found.known = false; continue; }
    if (step.state === "fresh") found.cached += 1;
    else if (step.state === "failed") found.failed += 1;
    else {
      found.run += 1;
      found.seconds = found.seconds === null || step.seconds === null ? null : found.seconds + step.seconds;
      found.bytes = found.bytes === null || step.bytes === null ? null : found.bytes + step.bytes;
    }
  }
  return found;
}

export function told(cost) {
  const many = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
  let said = ` · ${many(cost.run, "step")} to run, ${cost.cached} cached`;
  if (cost.failed) said += `, ${cost.failed} failed last time`;
  if (cost.run) {
    said += cost.seconds === null ? " · time not known yet" : ` · about ${seconds(cost.seconds)}`;
    if (cost.bytes) said += ` · ${bytes(cost.bytes)}`;
  }
  return [many(cost.targets, "target"), said];
}

// The best few of what was measured, by a goal within the limits; none where nothing was.
export function foremost(rows, goal, bounds, judge, stale, most = 4) {
  const { points } = measured(rows, "p50_ms", bounds, judge, stale);
  const better = goal === "latency" ? (a, b) => a.x - b.x : (a, b) => b.y - a.y;
  return [...new Set(points.filter((p) => p.fit).sort(better).map((p) => p.row.target))].slice(0, most);
}

// What a preset selects now, and the goal that it stands for.
function preset(app, key, one) {
  if (key !== "latency" && key !== "throughput") return one.targets;
  const found = foremost(app.rows(), key, app.get("limits"), (r) => app.judge(r), (t) => Boolean(app.rows().find((r) => r.target === t)?.stale));
  return found.length ? app.get("matrix").order.filter((t) => found.includes(t)) : one.targets;
}

export function summary(app) {
  const matrix = app.get("matrix");
  if (matrix.loaded) return "loaded from a file";
  if (matrix.followed) return "of another kernel’s run";
  if (!matrix.rows?.length) return app.get("pick").session ? "reading the catalog" : "Every format that can be had here, and why the others can’t";
  const all = Object.values(matrix.cells);
  return `${app.get("wanted").length} selected of ${all.filter((c) => c.available).length} that can run here`;
}

export function tools(app) {
  if (!app.get("matrix").rows?.length || app.get("matrix").followed) return null;
  const presets = app.get("matrix").presets;
  const wanted = [...app.get("wanted")].sort().join("|");
  return h("div", { class: "seg", role: "group", "aria-label": "Presets" }, Object.entries(presets).map(([key, one]) => {
    const targets = preset(app, key, one);
    const goal = key === "latency" || key === "throughput";
    const on = [...targets].sort().join("|") === wanted && (!goal || app.get("objective") === key);
    return h("button", { "data-k": `preset-${key}`, title: one.words, "aria-pressed": String(on), "aria-disabled": app.running() || app.gone || undefined,
      onclick: () => {
        if (app.running() || app.gone) return;
        app.set("wanted", targets);
        if (goal && app.get("objective") !== key) { app.set("chosen", ""); app.set("objective", key); }
      } }, one.label);
  }));
}

export function body(app) {
  const matrix = app.get("matrix");
  if (matrix.loaded) return h("p", { class: "empty mut" }, "This run was loaded from a file, which holds results and no models. Open the model again to run more of it.");
  if (!matrix.rows?.length) return h("p", { class: "empty mut" }, app.get("pick").session ? "Reading the catalog." : "Open a model first.");
  const wanted = new Set(app.get("wanted"));
  const states = app.get("run_state").states ?? {};
  const of = (target) => states[target] ?? { state: "off", text: "" };
  const toggle = (targets) => {
    if (app.running() || app.gone || matrix.followed) return;
    const can = targets.filter((t) => matrix.cells[t]?.available);
    const all = can.every((t) => wanted.has(t));
    const next = new Set(wanted);
    can.forEach((t) => (all ? next.delete(t) : next.add(t)));
    app.set("wanted", matrix.order.filter((t) => next.has(t)));
  };
  const cursor = app.local.cell ?? matrix.order.find((t) => matrix.cells[t].available);
  const rail = h("div", { class: "side" });
  const show = (target) => { app.local.cell = target; rail.replaceChildren(...detail(app, matrix, target, of(target), wanted)); };

  const cell = (row, p) => {
    const target = row.targets[p];
    if (!target) return h("td", {});
    const { state, text } = of(target);
    const known = matrix.cells[target];
    const on = wanted.has(target);
    const shown = !known.available ? "unavailable" : state === "off" && on ? "selected" : state;
    const words = [`${row.format} ${p} on ${row.where}`, WORDS[shown], text, on && shown !== "selected" ? "selected" : ""].filter(Boolean);
    return h("td", {}, h("button", {
      class: `c s-${shown}`, "data-k": `c-${target}`, "data-target": target, tabindex: target === cursor ? 0 : -1,
      "aria-pressed": known.available ? String(on) : undefined, "aria-disabled": known.available ? undefined : "true",
      "aria-label": words.join(", "), onclick: () => { show(target); toggle([target]); },
      onfocus: () => show(target), onmouseenter: () => show(target),
    }, icon(shown), text && h("span", { class: "tx" }, text)));
  };
  const barred = matrix.rows.filter((row) => row.barred);
  const folded = barred.length > 4 && !app.local.barred;
  const shownRows = folded ? matrix.rows.filter((row) => !row.barred) : matrix.rows;
  const precisions = matrix.precisions.filter((p) => shownRows.some((row) => row.targets[p]));
  const head = h("tr", {}, h("th", { scope: "col" }, "Format @ runner"), precisions.map((p) => {
    const column = matrix.rows.map((r) => r.targets[p]).filter((t) => t && matrix.cells[t].available);
    return h("th", { scope: "col" }, h("button", { tabindex: -1, title: `toggle all of ${p}`, onclick: () => toggle(column) }, p));
  }));
  const grid = h("table", { role: "grid", class: precisions.length > 4 ? "many" : undefined, style: `--n:${precisions.length}`, "aria-label": "Targets: formats and runners by precisions" },
    h("thead", {}, head),
    h("tbody", {}, shownRows.map((row) => h("tr", { class: row.barred ? "barred" : undefined },
      h("th", { scope: "row" }, h("button", { tabindex: -1, title: `toggle all of ${row.id}`, onclick: () => toggle(Object.values(row.targets)) },
        h("span", { class: "rt" }, row.words), h("span", { class: "mono mut rw" }, row.id))),
      precisions.map((p) => cell(row, p))))));
  grid.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    const from = event.target.dataset?.target;
    if (!step || !from) return;
    event.preventDefault();
    event.stopPropagation();
    let r = shownRows.findIndex((row) => Object.values(row.targets).includes(from));
    let c = precisions.findIndex((p) => shownRows[r].targets[p] === from);
    const [rows, columns] = [shownRows.length, precisions.length];
    for (let tries = 0; tries < rows + columns; tries += 1) {
      r = (r + step[0] + rows) % rows;
      c = (c + step[1] + columns) % columns;
      const next = grid.querySelector(`[data-target="${CSS.escape(shownRows[r].targets[precisions[c]] ?? "")}"]`);
      if (next) {
        grid.querySelectorAll("[data-target][tabindex='0']").forEach((b) => b.setAttribute("tabindex", -1));
        next.setAttribute("tabindex", 0);
        next.focus();
        return;
      }
    }
  });
  show(cursor);
  const foreseen = cost(matrix, wanted, app.until());
  const [bold, rest] = told(foreseen);
  const busy = app.running();
  const idle = !foreseen.targets;
  return h("div", {},
    h("div", { class: "mx" }, h("div", { class: "mxs" }, h("div", { class: "scroll" }, grid), barred.length > 4 && h("button", { class: "lnk sm more", "data-k": "barred", "aria-expanded": String(!folded),
      onclick: () => { app.local.barred = folded; app.redraw("targets"); } }, folded ? `Show ${barred.length} rows that cannot run here, and why` : "Hide the rows that cannot run here")), rail),
    matrix.followed ? h("p", { class: "empty mut" }, "This run is another kernel’s: it is shown as it goes. Open the model here to run more of it; nothing that is finished is done again.") : h("div", { class: "cost" },
      h("span", { class: "pv", role: "status" }, h("strong", {}, bold), busy ? " · running" : foreseen.known ? rest : " · counting steps"),
      h("span", { class: "sp" }),
      settings(app, busy),
      h("button", { class: "btn pri run", "data-k": "run", "aria-disabled": busy || idle || app.gone || undefined,
        onclick: () => { if (!busy && !idle && !app.gone) app.act("run", { until: app.until() }); } },
      idle ? "Run" : foreseen.run || foreseen.failed || !foreseen.known ? `Run ${foreseen.run || ""} step${foreseen.run === 1 ? "" : "s"}`.replace("  ", " ") : "Recall")),
    app.code("run"));
}

function settings(app, busy) {
  const own = app.get("settings");
  const field = (key, label, title) => h("label", { class: "sm mut set", title }, label, " ", h("input", {
    type: "text", inputmode: "decimal", size: 4, "data-k": `set-${key}`, value: own[key] ?? "", disabled: busy,
    onchange: (event) => {
      const number = Number(event.target.value);
      if (number > 0) app.set("settings", { ...own, [key]: key === "seconds" ? number : Math.round(number) });
      else event.target.value = own[key];
    },
  }));
  return [field("max_batch", "batch ≤", "the largest batch size that is timed"),
    field("seconds", "s per batch", "how long one batch size of one target is timed, at most")];
}

function detail(app, matrix, target, { state, text, tip }, wanted) {
  const cell = matrix.cells[target];
  const on = wanted.has(target);
  const shown = !cell.available ? "unavailable" : state === "off" && on ? "selected" : state;
  const why = cell.available ? tip : cell.reason;
  const remedy = cell.available ? app.get("run_state").states?.[target]?.remedy : cell.remedy;
  return [
    h("div", { class: "det" }, h("div", { class: "mono wrap" }, target), h("div", {}, chip(shown)),
      why && h("p", { class: "wrap" }, why),
      remedy && h("p", { class: "mut wrap" }, "Remedy: ", remedy),
      cell.available && !why && h("p", { class: "mut" }, cell.way.length ? `Built by way of ${cell.way.join(" → ")}.` : "Runs as it is: nothing to build.")),
    h("div", { class: "leg", "aria-label": "What the marks mean" }, LEGEND.map((one) => h("span", {}, h("span", { class: `s-${one}` }, icon(one)), WORDS[one]))),
  ];
}
