// The dashboard: five foldable sections over the traits of one widget.
import { h, icon, chip, name } from "./dom.js";
import { holding } from "./hold.js";
import { asked, verdict } from "./judge.js";
import { common } from "./points.js";
import { kept, typing } from "./typing.js";
import { wire } from "./wire.js";
import * as pick from "./pick.js";
import * as matrix from "./matrix.js";
import * as stages from "./stages.js";
import * as results from "./results.js";
import * as choose from "./choose.js";
import * as configure from "./configure.js";

const SECTIONS = { pick: ["Model and samples", pick], targets: ["Targets", matrix], run: ["Run", stages], results: ["Results", results], choose: ["Choose and export", choose] };
// Which sections a trait is drawn in; the head is drawn with every one.
const DRAWN = {
  pick: ["pick", "targets", "run"], matrix: ["targets", "run"], wanted: ["targets", "run"], settings: ["targets"], run_state: ["pick", "targets", "run", "results", "choose"],
  printed: ["run"], results: ["pick", "results", "choose"], accuracy: ["results"], tolerances: ["results"], tolerance: ["results", "choose"], limits: ["targets", "results", "choose"],
  selection: ["results"], chosen: ["results", "choose"], tab: ["results"], axis: ["results"], batch: ["results"], detail: ["results"], choice: ["choose"], objective: ["targets", "choose"],
  exported: ["choose"], configured: ["choose"], configuration: ["choose"], repository: ["choose"], code: Object.keys(SECTIONS), folds: Object.keys(SECTIONS), until: ["targets"], answered: [],
};

let count = 0;

export function render({ model, el }) {
  const root = h("div", { class: "nl", role: "region", "aria-label": "navigator_lab" });
  el.replaceChildren(root);
  let width = 0;
  const seen = new Map(); // target -> verdict, under the tolerance as it is now
  const dark = () => {
    const marked = root.closest("[data-jp-theme-light]")?.dataset.jpThemeLight ?? document.body.dataset.jpThemeLight;
    if (marked) return marked === "false";
    const kind = document.body.dataset.vscodeThemeKind;
    if (kind) return kind.includes("dark");
    if (document.documentElement.getAttribute("theme")) return document.documentElement.getAttribute("theme") === "dark";
    return document.body.classList.contains("theme-dark") || matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const line = wire(model, (key) => told(key), (sent) => model.send({ do: "seen", number: 0, sent }));
  const app = {
    id: `nl${(count += 1)}`, local: {}, gone: false, focus: null,
    get: (key) => (key === "limits" && app.local.limits) || line.get(key),
    set(key, value) { model.set(key, value); model.save_changes(); },
    act(what, more = {}) {
      const number = (app.local.asked = (app.local.asked ?? 0) + 1);
      model.send({ do: what, number, ...more });
      // A kernel that is busy with a cell answers late, one that is gone never: either is said.
      setTimeout(() => { if (!app.gone && (app.local.answered ?? 0) < number) { app.local.late = true; head(); } }, 4000);
    },
    running: () => app.get("run_state").state === "running",
    until: () => model.get("until"),
    rows: () => app.get("results").rows ?? [],
    tolerance: () => app.local.tolerance ?? model.get("tolerance"),
    commitTolerance() { const now = app.local.tolerance; if (now) { app.set("tolerance", now); app.local.tolerance = undefined; } },
    forget: () => seen.clear(),
    judge(row) {
      if (!seen.has(row.target)) {
        const outputs = app.get("accuracy")[row.target];
        seen.set(row.target, outputs?.length ? verdict(outputs, asked(app.tolerance(), app.get("tolerances"), row.target))
          : { passed: row.passed, worst: row.worst_ratio, at: "", cells: {} });
      }
      return seen.get(row.target);
    },
    doubts: () => [...new Set(app.rows().flatMap((r) => r.warnings ?? []))].slice(0, 3),
    batch: () => model.get("batch") || common(app.rows()),
    colour(family) { const pair = app.get("results").colours?.[family]; return pair ? pair[dark() ? 1 : 0] : "var(--muted)"; },
    width: () => root.clientWidth || width || 900, // it has none while the host changes its theme
    viewWidth: () => app.width() - (app.width() > 1179 ? 36 + 16 + 264 + 24 : app.width() > 939 ? 52 : 32),
    redraw: (section) => later(section),
    fold(section, open) { app.set("folds", { ...model.get("folds"), [section]: open }); },
    code(key) {
      const text = app.get("code")[key];
      if (!text) return null;
      const open = app.local.code === key;
      return h("div", { class: "code" }, h("button", { class: "lnk sm", "data-k": `code-${key}`, "aria-expanded": String(open), onclick: () => {
        app.local.code = open ? null : key;
        if (!open) app.copy(text, key);
        later(...Object.keys(SECTIONS));
      } }, "Copy as Python"), open && h("pre", { class: "log wrap", tabindex: 0 }, text));
    },
    async copy(text) {
      try { await navigator.clipboard.writeText(text); } catch {
        const area = h("textarea", { class: "vh", value: text }); // where the page isn't secure
        root.append(area);
        area.select();
        document.execCommand("copy");
        area.remove();
      }
    },
  };

  const top = h("div", { class: "head" });
  const banner = h("div", { class: "banner" });
  root.append(top, banner);
  const parts = {};
  for (const [key, [title]] of Object.entries(SECTIONS)) {
    const button = h("button", { "data-k": `fold-${key}`, "aria-controls": `${app.id}-${key}-body`, onclick: () => app.fold(key, !model.get("folds")[key]) });
    const part = { button, sum: h("span", { class: "sum" }), tools: h("span", { class: "tools" }), body: h("div", { class: "bd", id: `${app.id}-${key}-body` }) };
    parts[key] = part;
    root.append(h("section", { class: `sec-${key}`, "aria-label": title }, h("div", { class: "hd" }, h("h3", {}, button), part.sum, part.tools), part.body));
  }

  function head() {
    const session = app.get("pick").session;
    const run = app.get("run_state");
    const rows = app.rows();
    const bad = rows.filter((r) => r.status === "failed").length;
    const stale = rows.filter((r) => r.stale).length;
    const mark = app.gone ? chip("stale", "kernel gone") : run.state === "running" ? chip("running") : !session ? null :
      bad ? chip("failed", `${bad} failed`) : stale ? chip("stale", `${stale} stale`) : run.state === "cancelled" ? chip("cancelled") : rows.some((r) => r.batches.length) ? chip("done") : chip("selected", "ready to run");
    top.replaceChildren(h("h2", {}, session ? name(session.name) : "navigator_lab"), ...(mark ? [mark] : []),
      h("span", { class: "mut sm" }, session ? app.get("pick").machine.name : "From a model to its best deployment on Triton"), h("span", { class: "sp" }),
      ...(app.local.late && !app.gone ? [h("span", { class: "sm mut", role: "status" }, "The kernel is busy with a cell; this waits for it.")] : []));
    banner.replaceChildren(...(app.gone ? [h("div", { class: "note warn", role: "alert" }, h("span", { class: "s-stale" }, icon("stale")),
      h("div", {}, h("strong", {}, "The kernel is gone; what you see is its last word."), h("p", { class: "sm" },
        "Reading, sorting, limits and tolerance still work. Running, choosing and exporting need a kernel: run the cell again; every finished step is in the workspace and is not done again.")))] : []));
  }

  const deferred = new Set();
  const hold = holding((keys) => {
    head();
    for (const key of keys) {
      const { body } = parts[key];
      const active = document.activeElement;
      const slides = hold.pressed === key && body.contains(active) && active.matches("input[type=range]");
      // What is being typed or unfolded is not pulled from under the hand; what slides neither.
      if (body.contains(typed.field)) deferred.add(key);
      else if (slides) hold.told(key);
      else section(key);
    }
  });
  const later = hold.later;
  function section(key) {
    const [title, own] = SECTIONS[key];
    const part = parts[key];
    const open = Boolean(model.get("folds")[key]);
    const here = document.activeElement;
    const back = kept(part.body.contains(here) || part.tools.contains(here) ? here : null);
    part.button.replaceChildren(icon(open ? "down" : "right"), title);
    part.button.setAttribute("aria-expanded", String(open));
    const words = own.summary(app);
    part.sum.textContent = open ? "" : words;
    part.sum.title = open ? "" : words;
    const tools = open ? own.tools?.(app) : null;
    part.tools.replaceChildren(...(tools ? [tools] : []));
    const places = [...part.body.querySelectorAll(".tb, .log, .scroll")].map((n) => [n.scrollTop, n.scrollLeft]);
    part.body.hidden = !open;
    part.body.replaceChildren(...(open ? [own.body(app)] : []));
    part.body.querySelectorAll(".tb, .log, .scroll").forEach((n, i) => { if (places[i]) [n.scrollTop, n.scrollLeft] = places[i]; });
    const find = (wanted) => wanted && root.querySelector(`.sec-${key} [data-k="${CSS.escape(wanted)}"]`);
    const next = find(app.focus);
    if (!next) { back(find(here?.dataset?.k)); return; }
    app.focus = null;
    next.focus({ preventScroll: true });
    if (next.matches("input[type=text]")) next.select(); // to be typed over
  }

  const stops = [() => line.stop()];
  const listen = (node, kinds, heard) => kinds.forEach((kind) => {
    node.addEventListener(kind, heard, true);
    stops.push(() => node.removeEventListener(kind, heard, true));
  });
  listen(root, ["pointerdown"], (event) => {
    const key = event.target.closest("section")?.className.replace("sec-", "");
    if (parts[key] && !event.target.matches("select")) hold.press(key); // a list that unfolds keeps its release
  });
  // The click comes with the release, and what it does is done before anything is drawn.
  listen(window, ["pointerup", "pointercancel", "blur"], (event) => { if (event.type !== "blur" || event.target === window) setTimeout(hold.release, 0); });
  listen(window, ["pointermove"], (event) => { if (!event.buttons && hold.pressed) hold.release(); });
  const typed = typing((kinds, heard) => listen(root, kinds, heard), () => { if (deferred.size && !typed.field) { hold.told(...deferred); deferred.clear(); } });
  // Lab's own shortcuts must not act on what is typed or moved here.
  root.addEventListener("keydown", (event) => { if (event.target.matches("input, select, button, textarea, [tabindex]") && event.key !== "Tab") event.stopPropagation(); });

  function told(key) {
    if (["accuracy", "tolerances", "tolerance", "results"].includes(key)) app.forget();
    if (key === "answered") { app.local.answered = Math.max(app.local.answered ?? 0, model.get("answered")); app.local.late = false; head(); }
    if (key === "configured") configure.live(app);
    hold.told(...(DRAWN[key] ?? []));
  }
  for (const key of Object.keys(DRAWN)) {
    const heard = () => { if (!(key in model.get("sent"))) told(key); };
    model.on(`change:${key}`, heard);
    stops.push(() => model.off(`change:${key}`, heard));
  }
  app.local.asked = model.get("answered"); // numbers go on after a reload
  app.local.answered = model.get("answered");

  const resized = new ResizeObserver(() => { if (Math.abs(root.clientWidth - width) > 4) { width = root.clientWidth; later("run", "results"); } });
  resized.observe(root);
  const themed = new MutationObserver(() => { root.dataset.dark = String(dark()); later(...Object.keys(SECTIONS)); });
  themed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "data-vscode-theme-kind", "class"] });
  root.dataset.dark = String(dark());
  stops.push(() => resized.disconnect(), () => themed.disconnect(), ...alive(model, (gone) => { if (gone !== app.gone) { app.gone = gone; later(...Object.keys(SECTIONS)); } }), ...hidden(el));
  Object.keys(SECTIONS).forEach(section);
  head();
  return () => stops.forEach((stop) => stop());
}

// Whether the kernel that this widget lives in is still there, where the host lets us know.
function alive(model, tell) {
  const kernel = model.widget_manager?.kernel;
  if (!kernel?.statusChanged) return [];
  const heard = (_, status) => { if (["restarting", "autorestarting", "dead", "terminating"].includes(status)) tell(true); };
  const broken = () => tell(true);
  kernel.statusChanged.connect(heard);
  kernel.disposed?.connect(broken);
  return [() => kernel.statusChanged.disconnect(heard), () => kernel.disposed?.disconnect(broken)];
}

// While this is alive, the static copy that the same cell prints is not shown beside it.
function hidden(el) {
  let watch = null;
  let over = false;
  const find = () => { // a host may draw first and put it into the page afterwards
    if (over) return;
    if (!el.isConnected) { requestAnimationFrame(find); return; }
    const area = el.closest(".jp-OutputArea, .output_area, .cell-output-ipywidget-background");
    if (area) watch = hiding(area);
  };
  find();
  return [() => { over = true; watch?.disconnect(); }];
}

function hiding(area) {
  const hide = () => area.querySelectorAll(".nav-static").forEach((n) => { (n.closest(".jp-OutputArea-child") ?? n).style.display = "none"; });
  hide();
  const watch = new MutationObserver(hide);
  watch.observe(area, { childList: true, subtree: true });
  return watch;
}
