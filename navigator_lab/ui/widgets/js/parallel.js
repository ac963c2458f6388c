// A line a target across what was measured, better always up. To brush an axis is to set its limit.
import { h, s } from "./dom.js";
import { significant } from "./numbers.js";
import { LIMITS, at, misses, value } from "./points.js";
import { drag, limits, nudge, pick } from "./shared.js";
import { batches } from "./table.js";

const AXES = { throughput: ["samples/s", 1, "min_throughput"], p50_ms: ["p50, ms", 1, "p50_ms"], p99_ms: ["p99, ms", 1, "p99_ms"],
  error: ["error ÷ tol", 1, "error"], memory_bytes: ["memory, MB", 1e6, "memory_bytes"], size_bytes: ["size, MB", 1e6, "size_bytes"], load_ms: ["load, ms", 1, null] };
const [TOP, BOTTOM] = [34, 22];

const read = (row, batch, key, worst) => {
  const found = key === "throughput" ? batch?.throughput : value(row, batch, key, worst);
  if (found === null || found === undefined || Number.isNaN(found)) return null;
  return key === "error" ? Math.min(Math.max(found, 1e-3), 1e3) : found > 0 ? found : null;
};

// {axes: [{key, label, low, high}], lines: [{row, values, missed}]}: what there is to draw. Pure.
export function across(rows, size, bounds, judge) {
  const lines = rows.filter((r) => r.batches.length).map((row) => {
    const batch = at(row, size);
    const { worst, passed } = judge(row);
    const values = Object.fromEntries(Object.keys(AXES).map((key) => [key, read(row, batch, key, worst)]));
    return { row, batch, values, wrong: passed === false, missed: misses(row, batch, bounds, worst) };
  });
  const axes = Object.keys(AXES).map((key) => {
    const found = lines.map((l) => l.values[key]).filter((v) => v !== null);
    if (!found.length) return null;
    const [low, high] = [Math.min(...found), Math.max(...found)];
    return { key, label: AXES[key][0], per: AXES[key][1], limit: AXES[key][2], low: low / (high > low ? 1 : 1.1), high: high * (high > low ? 1 : 1.1) };
  }).filter(Boolean);
  return { axes, lines };
}

export function view(app) {
  const { axes, lines } = across(app.rows(), app.batch(), app.get("limits"), (r) => app.judge(r));
  const bar = h("div", { class: "row bars" }, limits(app), h("span", { class: "sp" }), batches(app));
  if (!lines.length) return h("div", {}, bar, h("p", { class: "empty mut" }, "No target was timed yet. Profile some: each becomes a line here."));
  const width = Math.max(app.viewWidth(), 580);
  const height = 330;
  const X = (i) => 46 + (axes.length > 1 ? (i * (width - 110)) / (axes.length - 1) : 0);
  const up = (axis) => axis.key === "throughput";
  const Y = (axis, v) => {
    const share = Math.min(Math.max(Math.log(v / axis.low) / Math.log(axis.high / axis.low), 0), 1);
    return TOP + (up(axis) ? 1 - share : share) * (height - TOP - BOTTOM);
  };
  const selection = app.get("selection");
  const id = `${app.id}-across`;
  const tip = h("p", { class: "sm mut tip", role: "status" }, lines.every((l) => l.missed.length) ? `No target keeps every limit at batch ${app.batch()}. Drag a knob down, or take another batch.` : "Better is up on every axis. Drag a knob along its axis to limit it; a click selects a line.");
  const draw = s("svg", { id, width, height, role: "group", "aria-label": `${lines.length} targets across ${axes.length} axes` });
  const order = [...lines].sort((a, b) => (b.missed.length > 0) - (a.missed.length > 0) || selection.includes(a.row.target) - selection.includes(b.row.target));
  order.forEach((line) => {
    const parts = [];
    axes.forEach((axis, i) => { const v = line.values[axis.key]; if (v !== null) parts.push(`${parts.length ? "L" : "M"}${X(i)} ${Y(axis, v)}`); });
    const name = line.row.target;
    const on = selection.includes(name);
    draw.append(s("path", { class: `pcl ${on ? "sel" : ""}`, d: parts.join(""), stroke: line.wrong ? "var(--tol)" : app.colour(line.row.family), "stroke-dasharray": line.wrong ? "3 3" : undefined,
      opacity: line.missed.length ? 0.2 : on || !selection.length ? 0.95 : 0.5, role: "button", tabindex: name === (selection[0] ?? order.at(-1).row.target) ? 0 : -1, "data-k": `pc-${name}`, "data-target": name,
      "aria-pressed": String(on), "aria-label": `${name}, batch ${line.batch.batch}${line.missed.length ? ", beyond a limit" : ""}`,
      onmouseenter: () => tell(line), onfocus: () => tell(line), onclick: (event) => { app.focus = `pc-${name}`; pick(app, name, event); } }));
  });
  const tell = (line) => tip.replaceChildren(h("span", { class: "mono" }, line.row.target), ` batch ${line.batch.batch}: ` +
    axes.map((a) => `${a.label} ${line.values[a.key] === null ? "–" : significant(line.values[a.key] / a.per)}`).join(" · ") + (line.missed.length ? ` · beyond the limit of ${line.missed.map((k) => LIMITS[k]?.words ?? k).join(" and ")}` : ""));
  const svg = () => document.getElementById(id) ?? draw; // it is drawn anew while it is dragged
  axes.forEach((axis, i) => {
    const x = X(i);
    const [best, least] = up(axis) ? [axis.high, axis.low] : [axis.low, axis.high];
    draw.append(s("path", { d: `M${x} ${TOP}V${height - BOTTOM}`, stroke: "var(--ctl)" }), s("text", { x, y: 12, "text-anchor": "middle" }, axis.label),
      s("text", { class: "ax halo", x, y: TOP - 8, "text-anchor": "middle" }, significant(best / axis.per)), s("text", { class: "ax halo", x, y: height - 6, "text-anchor": "middle" }, significant(least / axis.per)));
    if (!axis.limit) return;
    const bound = app.get("limits")[axis.limit];
    const y = bound === undefined ? height - BOTTOM : Y(axis, bound);
    const from = (event) => {
      const box = svg().getBoundingClientRect();
      const share = ((event.clientY - box.top) * (height / box.height) - TOP) / (height - TOP - BOTTOM);
      if (share >= 0.99) return null;
      const kept = Math.max(up(axis) ? 1 - share : share, 0);
      return Number((axis.low * (axis.high / axis.low) ** Math.min(kept, 1)).toPrecision(3));
    };
    draw.append(s("g", { class: `grip ${bound === undefined ? "free" : ""}`, role: "slider", tabindex: 0, "data-k": `drag-${axis.limit}`, "aria-orientation": "vertical", "aria-label": `limit of ${LIMITS[axis.limit].words}`,
      "aria-valuenow": bound ?? 0, "aria-valuetext": bound === undefined ? "none" : `${significant(bound / LIMITS[axis.limit].per)} ${LIMITS[axis.limit].unit}`,
      onpointerdown: drag(app, axis.limit, from), onkeydown: nudge(app, axis.limit, least, up(axis) ? "ArrowUp" : "ArrowDown", up(axis) ? "ArrowDown" : "ArrowUp") },
    s("title", {}, `drag to limit ${LIMITS[axis.limit].words}; Delete takes the limit away`),
    bound !== undefined && s("rect", { x: x - 4, y: TOP, width: 8, height: Math.max(y - TOP, 0), fill: "var(--accent)", "fill-opacity": 0.25 }),
    s("path", { class: "reach", d: `M${x - 10} ${y}H${x + 10}` }), s("path", { class: "knob", d: `M${x - 8} ${y - 3}h16v6h-16z` })));
  });
  draw.addEventListener("keydown", (event) => {
    const here = lines.findIndex((l) => `pc-${l.row.target}` === event.target.dataset?.k);
    if (here < 0) return;
    const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (way) {
      event.preventDefault();
      event.stopPropagation();
      const next = lines[(here + way + lines.length) % lines.length].row.target;
      draw.querySelectorAll(".pcl").forEach((p) => p.setAttribute("tabindex", p.dataset.target === next ? 0 : -1));
      draw.querySelector(".pcl[tabindex='0']").focus();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      event.stopPropagation();
      app.focus = event.target.dataset.k;
      pick(app, lines[here].row.target, event);
    }
  });
  return h("div", {}, bar, h("div", { class: "scroll plot" }, draw), tip, app.code("parallel"));
}
