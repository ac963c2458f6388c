// Section 3: the five stages, how far each is, how long it may still take, and what is printed.
import { h, s, icon, chip, name } from "./dom.js";
import { seconds } from "./numbers.js";
import { STAGES, cost, told } from "./matrix.js";

const TITLE = { export: "Export", convert: "Convert", correctness: "Correctness", profile: "Profile", verify: "Verify" };
const SETTLED = ["done", "cached", "failed", "skipped", "cancelled"];

// Counts of a stage's steps by their state, of the run under way or the last one.
export function counts(run, matrix, stage) {
  const found = { total: 0, done: 0, cached: 0, failed: 0, skipped: 0, cancelled: 0, running: 0, waiting: 0, seconds: 0 };
  for (const label of new Set((run.targets ?? []).flatMap((t) => matrix.cells?.[t]?.stages[stage] ?? []))) {
    const step = run.steps?.[label];
    if (!step) continue;
    found.total += 1;
    found[step.state] += 1;
    found.seconds += step.seconds ?? 0;
  }
  return found;
}

export function summary(app) {
  const run = app.get("run_state");
  const steps = Object.values(run.steps ?? {});
  if (!steps.length) return "Export, convert, correctness, profile, verify";
  const many = (state) => steps.filter((x) => x.state === state).length;
  if (run.state === "running") return `${steps.filter((x) => SETTLED.includes(x.state)).length} of ${steps.length} steps`;
  return [`${many("done")} step${many("done") === 1 ? "" : "s"} ran in ${seconds(run.elapsed)}`, `${many("cached")} from cache`,
    many("failed") ? `${many("failed")} failed` : "", many("skipped") ? `${many("skipped")} skipped behind them` : "",
    many("cancelled") ? `${many("cancelled")} cancelled` : ""].filter(Boolean).join(" · ");
}

function stageWords(app, stage) {
  const run = app.get("run_state");
  const matrix = app.get("matrix");
  const had = counts(run, matrix, stage);
  if (run.state === "running" && had.total) {
    const settled = had.total - had.running - had.waiting;
    return [had, had.running ? "running" : had.waiting ? "queued" : had.failed ? "failed" : had.done ? "done" : "cached",
      `${settled} of ${had.total}${had.failed ? ` · ${had.failed} failed` : ""}`];
  }
  const wanted = app.get("wanted");
  const upto = cost(matrix.cells ? matrix : { cells: {}, steps: {} }, wanted, stage);
  const before = STAGES.indexOf(stage) ? cost(matrix, wanted, STAGES[STAGES.indexOf(stage) - 1]) : { run: 0, cached: 0, seconds: 0 };
  const own = { run: upto.run - before.run, cached: upto.cached - before.cached, seconds: upto.seconds === null || before.seconds === null ? null : upto.seconds - before.seconds };
  if (had.total && run.until && !(own.run && run.state !== "running")) {
    const state = had.failed ? "failed" : had.cancelled ? "cancelled" : had.done ? "done" : had.cached ? "cached" : "skipped";
    const words = [had.done && `${had.done} ran`, had.cached && `${had.cached} cached`, had.failed && `${had.failed} failed`,
      had.skipped && `${had.skipped} skipped`, had.cancelled && `${had.cancelled} cancelled`].filter(Boolean);
    return [had, state, words.join(", ")];
  }
  const bar = { ...had, total: own.run + own.cached, cached: own.cached, waiting: own.run };
  if (!bar.total) return [bar, "off", "nothing to do"];
  const time = own.run && own.seconds !== null ? ` · about ${seconds(own.seconds)}` : "";
  return [bar, own.run ? "queued" : "cached", own.run ? `${own.run} to run${own.cached ? `, ${own.cached} cached` : ""}${time}` : `${own.cached} cached`];
}

// "9 targets · 14 steps to run, 22 cached · about 40 s", of all that a press of the button does.
const whole = (app, stage) => {
  const matrix = app.get("matrix");
  return matrix.cells ? `\n${told(cost(matrix, app.get("wanted"), stage)).join("")}` : "";
};

export function body(app) {
  const run = app.get("run_state");
  const matrix = app.get("matrix");
  if (matrix.loaded) return h("p", { class: "empty mut" }, "Nothing of a loaded run can be run here; its results are below.");
  if (!matrix.rows?.length) return h("p", { class: "empty mut" }, "Open a model first. Nothing is run until you press Run.");
  const busy = app.running();
  const none = !app.get("wanted").length;
  const buttons = STAGES.map((stage) => {
    const barred = stage === "verify" && !matrix.verify;
    const elsewhere = Boolean(matrix.followed);
    const [had, state, words] = stageWords(app, stage);
    const share = (n) => `${had.total ? (100 * n) / had.total : 0}%`;
    const off = busy || app.gone || none || barred || elsewhere;
    return h("li", {}, h("button", {
      class: "stage", "data-k": `stage-${stage}`, "data-stage": stage, "aria-disabled": off || undefined,
      title: elsewhere ? "Only the kernel that runs this can" : barred ? "Give the function that verifies: lab.run(verify=function)" : `run up to ${stage}; what is still true is not done again${whole(app, stage)}`,
      onclick: () => { if (!off) app.act("run", { until: stage }); },
    }, h("span", { class: "t" }, h("span", { class: `s-${barred ? "off" : state}` }, icon(barred ? "unavailable" : state)), TITLE[stage]),
    h("span", { class: "bar", "aria-hidden": "true" }, [["cached", had.cached], ["done", had.done], ["failed", had.failed], ["skipped", had.skipped + had.cancelled], ["running", had.running]]
      .map(([kind, n]) => n ? h("i", { class: `b-${kind}`, style: `width:${share(n)}` }) : null)),
    h("span", { class: "n" }, barred ? "needs your metric" : words)));
  });
  return h("div", {},
    h("ul", { class: "stg", role: "list" }, buttons),
    h("div", { class: "row now" }, ...now(app, run, busy), h("span", { class: "sp" }),
      busy && matrix.followed && h("span", { class: "sm mut" }, "Runs in another kernel, which can cancel it."),
      busy && !matrix.followed && h("button", { class: "btn", "data-k": "cancel", onclick: () => app.act("cancel"), "aria-disabled": app.gone || undefined }, run.cancelling ? "Cancelling" : "Cancel")),
    run.error && h("div", { class: "note err", role: "alert" }, h("span", { class: "s-failed" }, icon("failed")),
      h("div", {}, h("strong", {}, run.error), run.remedy && h("p", { class: "sm" }, `Remedy: ${run.remedy}`))),
    Object.keys(run.steps ?? {}).length > 0 && timeline(app, run, matrix),
    Object.keys(run.steps ?? {}).length > 0 && log(app, run),
    Object.keys(run.steps ?? {}).length > 0 && app.code("attach"));
}

function now(app, run, busy) {
  const steps = Object.entries(run.steps ?? {});
  if (!busy) return [h("span", { class: "sm mut", role: "status" }, run.state === "cancelled" ? "Cancelled: finished steps are kept." : run.state === "idle" ? "Nothing is run until you press Run or a stage." : summary(app))];
  const active = steps.filter(([, x]) => x.state === "running");
  const settled = steps.filter(([, x]) => SETTLED.includes(x.state)).length;
  const [label] = active[0] ?? [steps.length ? "waiting for a worker" : "planning"];
  const left = run.left === null ? "" : `, about ${seconds(run.left)} left`;
  return [h("span", {}, h("strong", { role: "status" }, label), active.length > 1 ? ` and ${active.length - 1} more` : ""),
    h("span", { class: "mut" }, `${settled} of ${steps.length} steps · ${seconds(run.elapsed ?? 0)} so far${left}`)];
}

// A bar a step that ran, a hatched square for each that came from the store.
function timeline(app, run, matrix) {
  const open = app.local.timeline ?? true;
  const box = h("div", { class: "tlbox" }, h("button", { class: "lnk sm", "data-k": "timeline", "aria-expanded": String(open),
    onclick: () => { app.local.timeline = !open; app.redraw("run"); } }, open ? "Hide timeline" : "Show timeline"));
  if (!open) return box;
  const width = Math.max(app.width() - 56, 320);
  const narrow = width < 700;
  const shown = (run.targets ?? []).flatMap((t) => STAGES.flatMap((stage) => matrix.cells[t]?.stages[stage] ?? []));
  const [left, cached, high] = [narrow ? 150 : 240, shown.some((label) => run.steps[label]?.state === "cached") ? 62 : 0, 20];
  const from = left + cached + 10;
  const end = Math.max(run.elapsed ?? 0, 0.5);
  const x = (t) => from + (Math.min(t, end) / end) * (width - from - 12);
  const targets = run.targets ?? [];
  const height = targets.length * high + 24;
  const id = `${app.id}-hatch`;
  const draw = s("svg", { width, height, role: "group", "aria-label": `Timeline of ${targets.length} targets over ${seconds(end)}; arrows walk its steps, whose log is below` },
    s("defs", {}, s("pattern", { id, width: 4, height: 4, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      s("path", { d: "M0 0v4", stroke: "var(--done)", "stroke-width": 2 }))),
    cached > 0 && s("text", { class: "ax", x: left, y: 11 }, "cached"));
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800].find((n) => end / n <= Math.min((width - from) / 40, 7)) ?? 3600;
  for (let t = 0; t <= end; t += step)
    draw.append(s("path", { d: `M${x(t)} 16V${height - 2}`, stroke: "var(--line)" }),
      s("text", { class: "ax", x: x(t), y: 11, "text-anchor": t ? "middle" : "start" }, t ? String(Math.round(t * 10) / 10) : "0 s"));
  targets.forEach((target, row) => {
    const y = 18 + row * high;
    const fits = narrow ? 21 : 34;
    const text = s("text", { class: "mo", x: 0, y: y + 13 }, target.length > fits ? `${target.slice(0, fits - 17)}…${target.slice(-16)}` : target);
    text.append(s("title", {}, target));
    draw.append(text);
    const labels = STAGES.flatMap((stage) => (matrix.cells[target]?.stages[stage] ?? []).map((label) => [stage, label]));
    let kept = 0;
    const words = [];
    for (const [stage, label] of labels) {
      if (label.startsWith("reference ") && label !== `reference ${target}`) continue; // shared: shown once
      const one = run.steps[label];
      if (!one) continue;
      const said = `${label}: ${one.state}${one.seconds ? `, ${seconds(one.seconds)}` : ""}`;
      const tip = s("title", {}, said);
      const point = { class: "tlb", "data-k": `tl-${target} ${label}`, "data-step": label, role: "button", tabindex: -1, "aria-label": said, "aria-pressed": String(app.get("printed").step === label),
        onpointerenter: () => peek(app, label), onpointerleave: () => clearTimeout(app.local.peek), onfocus: () => peek(app, label), onclick: () => { app.focus = `tl-${target} ${label}`; app.act("log", { step: label }); } };
      if (one.state === "cached") {
        draw.append(s("rect", { ...point, x: left + kept * 11, y: y + 5, width: 9, height: 10, fill: `url(#${id})`, stroke: "var(--done)", "stroke-width": 0.8 }, tip));
        kept = Math.min(kept + 1, 5);
      } else if (one.from !== null && one.from !== undefined) {
        const wide = Math.max(x(one.to ?? end) - x(one.from) - 1, 2.5);
        const colour = { failed: "var(--fail)", running: "var(--run)", cancelled: "var(--ctl)" }[one.state] ?? "var(--done)";
        draw.append(s("rect", { ...point, x: x(one.from), y: y + 4, width: wide, height: 12, fill: colour }, tip));
        words.push([x(one.from), x(one.from) + wide, TITLE[stage]]);
      }
    }
    for (const [a, b, text] of words)
      if (b - a > 70 && words.every(([c, d]) => (c === a && d === b) || d <= a || c >= a + 66))
        draw.append(s("text", { class: "in", x: a + 5, y: y + 13.8, "pointer-events": "none" }, text));
  });
  const bars = [...draw.querySelectorAll(".tlb")];
  (bars.find((b) => b.dataset.step === app.get("printed").step) ?? bars[0])?.setAttribute("tabindex", 0);
  draw.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const here = bars.indexOf(event.target);
    if (!way || here < 0) return;
    event.preventDefault();
    event.stopPropagation();
    bars.forEach((b) => b.setAttribute("tabindex", -1));
    const next = bars[(here + way + bars.length) % bars.length];
    next.setAttribute("tabindex", 0);
    next.focus();
  });
  if (run.state === "running") draw.append(s("path", { d: `M${x(end)} 14V${height - 2}`, stroke: "var(--run)", "stroke-width": 1.5 }));
  box.append(h("div", { class: "scroll" }, draw));
  return box;
}

// The log of a step that is pointed at or focused, once the pointer rests there.
function peek(app, label) {
  clearTimeout(app.local.peek);
  if (app.gone || app.get("printed").step === label) return;
  app.local.peek = setTimeout(() => { if (!app.gone) app.act("log", { step: label }); }, 200);
}

function log(app, run) {
  const shown = app.get("printed");
  const choose = (event) => app.act("log", { step: event.target.value });
  return h("div", { class: "logbox" },
    h("div", { class: "row" }, h("label", { class: "sm mut", for: `${app.id}-log` }, "Log of"),
      h("select", { id: `${app.id}-log`, class: "mono", "data-k": "log", onchange: choose, disabled: app.gone },
        h("option", { value: "" }, "the current step"),
        Object.entries(run.steps).filter(([, x]) => ["done", "failed", "running", "cached"].includes(x.state))
          .map(([label, x]) => h("option", { value: label, selected: label === shown.step }, `${label} (${x.state})`)))),
    h("pre", { class: app.running() && !shown.step ? "log last" : "log", tabindex: 0, role: "region", "aria-label": "Log" }, (shown.step ? shown.text : (shown.text ?? "").split("\n").slice(-10).join("\n")) || "It printed nothing."));
}
