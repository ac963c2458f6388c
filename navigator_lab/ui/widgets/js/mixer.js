// Results, view "Mixer": one target with more and more of its most sensitive nodes in fp32. One
// slider walks along; what was measured shows at once, what wasn't can be run.
import { h, s, name } from "./dom.js";
import { bytes, interval, ratio, significant, THIN } from "./numbers.js";
import { at } from "./points.js";

export const USUAL = [0, 2, 5, 10, 20];
const HEIGHT = 250;
const BOX = { left: 46, right: 52, top: 12, bottom: 24 };

// Settings of the same target together, each list by its number of nodes.
export function grouped(rows) {
  const found = new Map();
  for (const row of rows) {
    if (!row.mix) continue;
    const [of, keep] = row.mix;
    found.set(of, [...(found.get(of) ?? []), { keep, row }]);
  }
  for (const list of found.values()) list.sort((a, b) => a.keep - b.keep);
  return found;
}

// How far the slider goes: room to try more than was done.
const done = (points) => points.filter((p) => p.row.status === "done").at(-1)?.keep ?? 0;
export const reach = (points) => Math.max(20, 2 * done(points));

// A whole step of the axis, so that six numbers or fewer stand under it.
export function step(most) {
  const rough = most / 6;
  const size = 10 ** Math.floor(Math.log10(rough));
  return Math.max(1, [1, 2, 5, 10].map((n) => n * size).find((n) => n >= rough));
}

export function view(app) {
  const groups = grouped(app.rows());
  if (!groups.size)
    return h("p", { class: "empty mut" }, "Run ONNX in fp16, bf16, int8 or fp8. Here the nodes that lose most by it can then be kept in fp32, as many as you like.");
  const most = [...groups.keys()].sort((a, b) => groups.get(b).length - groups.get(a).length);
  const of = groups.has(app.local.mixer) ? app.local.mixer : most[0];
  const points = groups.get(of);
  const end = Math.max(reach(points), app.local.keep?.[of] ?? 0);
  const keep = app.local.keep?.[of] ?? done(points);
  const chooser = h("select", { class: "sel", "data-k": "mix-of", "aria-label": "Target to mix", onchange: (event) => { app.local.mixer = event.target.value; app.redraw("results"); } },
    [...groups.keys()].map((key) => h("option", { value: key, selected: key === of }, key)));
  const width = Math.min(app.viewWidth(), 900);
  const plot = drawn(app, points, end, width);
  const said = h("div", { class: "mixsaid", role: "status" });
  const slider = h("input", { type: "range", min: 0, max: end, step: 1, value: keep, "data-k": "mix-keep", "aria-label": "Most sensitive nodes kept in fp32", oninput: (event) => show(Number(event.target.value)) });
  const show = (number) => {
    app.local.keep = { ...app.local.keep, [of]: number };
    plot.mark(number);
    slider.setAttribute("aria-valuetext", `${number} nodes in fp32`);
    said.replaceChildren(...told(app, of, points, number));
  };
  show(keep);
  const missing = USUAL.filter((n) => !points.some((p) => p.keep === n));
  const busy = app.running() || app.gone;
  return h("div", {}, h("div", { class: "row bars" }, chooser, h("span", { class: "sp" }),
    missing.length > 0 && h("button", { class: "btn", "data-k": "mix-usual", "aria-disabled": busy || undefined, onclick: () => { if (!busy) app.act("mix", { target: of, keep: missing }); } }, `Run ${missing.join(", ")}`)),
  plot.node, h("div", { class: "mixline", style: `margin:0 ${BOX.right - 8}px 0 ${BOX.left - 8}px;max-width:${width - BOX.left - BOX.right + 16}px` }, slider), said, app.code("mixer"));
}

// What is known of a number of nodes, beside none of them; or the button that finds it out.
function told(app, of, points, number) {
  const one = points.find((p) => p.keep === number);
  const busy = app.running() || app.gone;
  const head = h("strong", {}, `${number === 0 ? "No node" : number === 1 ? "1 node" : `${number} nodes`} in fp32`);
  if (!one) {
    return [h("div", { class: "row" }, head, h("span", { class: "mut" }, "not measured"), h("button", { class: "btn", "data-k": "mix-run", "aria-disabled": busy || undefined,
      onclick: () => { if (!busy) app.act("mix", { target: of, keep: [number] }); } }, app.running() ? "Running…" : "Run"))];
  }
  const { row } = one;
  if (row.waiting || row.status !== "done") return [h("div", { class: "row" }, head, h("span", { class: "mut wrap" }, row.waiting ? "running" : row.reason || row.status))];
  const { passed, worst } = app.judge(row);
  const b = at(row, app.batch());
  const cells = [["Signal kept", decibels(row.sqnr_db)], ["Error ÷ tolerance", worst === null || worst === undefined ? "–" : `${ratio(worst)}${passed === false ? " ×, too much" : ""}`],
    ["p50", b ? `${interval(b.p50_ms, b.p50_ms_low, b.p50_ms_high)}${THIN}ms at batch ${b.batch}` : "–"], ["Size", bytes(row.size_bytes)]];
  const which = (row.notes ?? []).find((w) => w.includes("most sensitive"));
  return [h("div", { class: "row" }, head, h("button", { class: "lnk sm", "data-k": "mix-select", onclick: () => app.set("selection", [row.target]) }, name(row.target))),
    h("dl", { class: "kv mixkv" }, cells.flatMap(([k, v]) => [h("dt", {}, k), h("dd", { class: "mono" }, v)])), which && h("p", { class: "sm mut wrap" }, which)];
}

const decibels = (value) => (value === null || value === undefined ? "–" : `${significant(value)}${THIN}dB`);

// Signal (left, filled marks) and p50 (right, hollow marks) by the number of nodes.
function drawn(app, points, end, width) {
  const x = (keep) => BOX.left + ((width - BOX.left - BOX.right) * keep) / end;
  const low = HEIGHT - BOX.bottom;
  const scale = (values, zero) => { // [from, to, where a value lies]
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const pad = 0.08 * (most - (zero ? 0 : least) || Math.abs(most) || 1);
    const [from, to] = [zero ? 0 : least - pad, most + pad];
    return [from, to, (v) => low - ((low - BOX.top) * (v - from)) / (to - from)];
  };
  const colour = app.colour(points[0].row.family);
  const node = s("svg", { width, height: HEIGHT, role: "img", "aria-label": "Signal kept and p50 latency by the number of nodes in fp32" });
  const ticks = step(end);
  for (let keep = 0; keep <= end; keep += ticks) node.append(s("line", { x1: x(keep), x2: x(keep), y1: BOX.top, y2: low, stroke: "var(--line)" }), s("text", { x: x(keep), y: HEIGHT - 8, "text-anchor": "middle", class: "ax" }, String(keep)));
  const lines = [
    [points.map((p) => [p, p.row.sqnr_db]).filter(([, v]) => v !== null && v !== undefined && Number.isFinite(v)), "● signal, dB", "start", BOX.left - 40, false],
    [points.map((p) => [p, at(p.row, app.batch())?.p50_ms]).filter(([, v]) => v !== null && v !== undefined), "○ p50, ms", "end", width - 4, true],
  ];
  for (const [values, words, anchor, side, hollow] of lines) {
    if (!values.length) continue;
    const [from, to, y] = scale(values.map(([, v]) => v), hollow);
    for (const share of [0.08, 0.5, 0.92]) node.append(s("text", { x: side, y: y(from + (to - from) * share) + 4, "text-anchor": anchor, class: "ax" }, significant(from + (to - from) * share, 2)));
    node.append(s("text", { x: side, y: BOX.top - 2, "text-anchor": anchor, class: "ax" }, words));
    node.append(s("polyline", { points: values.map(([p, v]) => `${x(p.keep)},${y(v)}`).join(" "), fill: "none", stroke: colour, "stroke-width": 1.4, "stroke-dasharray": hollow ? "4 3" : undefined }));
    for (const [p, v] of values) node.append(s("circle", { cx: x(p.keep), cy: y(v), r: 4, fill: hollow ? "var(--bg)" : colour, stroke: app.judge(p.row).passed === false ? "var(--fail)" : colour, "stroke-width": 1.6 }, s("title", {}, `${p.keep}: ${words.slice(2)} ${significant(v)}`)));
  }
  const line = s("line", { y1: BOX.top, y2: low, stroke: "var(--fg)", "stroke-width": 1.5 });
  node.append(line);
  return { node, mark(keep) { line.setAttribute("x1", x(keep)); line.setAttribute("x2", x(keep)); } };
}
