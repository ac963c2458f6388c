// Section 5: an objective and limits, the choice and why, the package and what to type.
import { h, s, icon, chip, name, glyph } from "./dom.js";
import { parts, THIN } from "./numbers.js";
import { limits } from "./shared.js";
import { barred, form, hint } from "./configure.js";

const GOALS = { throughput: "throughput", latency: "low latency", memory: "little memory", size: "small files" };

export function summary(app) {
  const { choice, error } = app.get("choice");
  if (!app.rows().length || app.running()) return "After the run";
  return choice ? `${choice.target}${choice.batch ? `, batch ${choice.batch}` : ""}` : error ? (Object.keys(app.get("limits")).length ? "No target meets every limit" : "Nothing can be chosen yet") : "After the run";
}

export function body(app) {
  const { choice, error, remedy, words } = app.get("choice");
  if (!app.rows().length) return h("p", { class: "empty mut" }, "The best target under your limits, its reasons, and its Triton package appear here.");
  const made = app.get("exported");
  const chosen = app.get("chosen");
  const goal = h("div", { class: "row" }, h("label", { class: "sm mut", for: `${app.id}-goal` }, "Best by"),
    h("select", { id: `${app.id}-goal`, class: "sel", "data-k": "objective", disabled: app.gone, onchange: (event) => { app.set("chosen", ""); app.set("objective", event.target.value); } },
      Object.entries(GOALS).map(([key, label]) => h("option", { value: key, selected: key === app.get("objective") }, label))), limits(app, "choose-"));
  const target = chosen || choice?.target;
  const busy = app.running() || app.gone || made.state === "working";
  const said = choice && h("div", {},
    h("p", { class: "say" }, name(choice.target), choice.batch ? ` at batch ${choice.batch}: ` : ": ", choice.head),
    choice.lines.map((line) => h("p", { class: "sm mut wrap" }, line)),
    choice.rank.length > 1 && rank(app, choice));
  const own = chosen && chosen !== choice?.target && h("div", { class: "note" }, h("span", { class: "s-choice" }, icon("choice")),
    h("div", {}, "You chose ", name(chosen), ". ", h("button", { class: "lnk", "data-k": "unchoose", onclick: () => app.set("chosen", "") }, "Take the best again")));
  const action = target && h("div", { class: "row export" },
    h("label", { class: "sm mut set" }, "into ", h("input", { type: "text", "data-k": "repository", value: app.get("repository"), size: 22, disabled: busy, onchange: (event) => app.set("repository", event.target.value) })),
    exporting(app, target, busy),
    app.get("configured").target !== target && h("button", { class: "btn", "data-k": "preview", "aria-disabled": busy || undefined, onclick: () => { if (!busy) app.act("preview", { target }); } }, "Preview and edit config.pbtxt"));
  const state = made.state && made.target === target && h("div", { class: `note ${made.state === "failed" ? "err" : "info"}`, role: "status" },
    h("span", { class: `s-${{ working: "running", failed: "failed", done: "done" }[made.state]}` }, icon({ working: "running", failed: "failed", done: "done" }[made.state])),
    h("div", {}, h("span", { class: "wrap" }, made.words), made.remedy && h("p", { class: "sm" }, `Remedy: ${made.remedy}`)));
  const done = made.state === "done" && made.target === target;
  const written = done && app.get("configured").target !== target && [
    h("div", { class: "row" }, h("span", { class: "mono" }, "config.pbtxt"), h("span", { class: "sp" }), h("button", { class: "lnk sm", "data-k": "copy-config", onclick: () => app.copy(made.config, "config.pbtxt") }, "Copy")),
    h("pre", { class: "log pb", tabindex: 0, role: "region", "aria-label": "config.pbtxt" }, made.config)];
  const serve = done && [h("p", { class: "sm mut" }, "On the server, type"), h("pre", { class: "log wrap", tabindex: 0 }, made.serve)];
  return h("div", {}, h("div", { class: "ch" }, h("div", {}, goal,
    error && h("div", { class: "note warn", role: "status" }, h("span", { class: "s-stale" }, icon("stale")), h("div", {}, h("strong", { class: "pre" }, error), remedy && h("p", { class: "sm" }, `Remedy: ${remedy}`))),
    said, own, action, state, app.code("choose")),
  target ? h("div", {}, serve, written || hint(app, target)) : null, target && form(app, target)));
}

// What is wrong in the form is not exported; it may be found while the button is there.
function exporting(app, target, busy) {
  const button = h("button", { class: "btn pri", "data-k": "export", onclick: () => { if (!busy && !barred(app, target)) app.act("export", { target }); } }, "Export");
  const now = () => {
    const why = barred(app, target);
    if (busy || why) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
    button.title = why;
  };
  now();
  app.local.exporting = now;
  return button;
}

function rank(app, choice) {
  const most = Math.max(...choice.rank.map((r) => r.value)) || 1;
  return h("table", { class: "rank", "aria-label": "The best few" }, h("tbody", {}, choice.rank.map((one, i) => {
    const row = app.rows().find((r) => r.target === one.target);
    const colour = app.colour(row?.family);
    return h("tr", {}, h("td", {}, i === 0 && h("span", { class: "s-choice" }, icon("choice"))), h("td", { class: "n1" }, name(one.target)), h("td", { class: "num mut" }, `b${one.batch}`),
      h("td", {}, s("svg", { class: "tbar", viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" }, s("rect", { width: (100 * one.value) / most, height: 12, fill: colour, "fill-opacity": 0.85 }))),
      h("td", { class: "num" }, parts(one.value, one.low, one.high).filter(Boolean).join(`${THIN}±${THIN}`)));
  })));
}
