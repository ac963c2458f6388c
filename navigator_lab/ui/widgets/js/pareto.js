// Throughput against latency: batches of a target joined, the front as a step line.
import { h, s, name, shape, glyph } from "./dom.js";
import { grouped, interval, significant, ratio, THIN } from "./numbers.js";
import { LIMITS, measured } from "./points.js";
import { drag, limits, nudge, pick } from "./shared.js";

const AXES = { p50_ms: "latency p50, ms per call", p95_ms: "latency p95, ms per call", p99_ms: "latency p99, ms per call",
  memory_bytes: "peak memory, MB", size_bytes: "size, MB", load_ms: "load time, ms", error: "worst error ÷ tolerance" };
const SHORT = { p50_ms: "p50", p95_ms: "p95", p99_ms: "p99", memory_bytes: "memory", size_bytes: "size", load_ms: "load", error: "error" };
const PER = { memory_bytes: 1e6, size_bytes: 1e6 };

export function ticks(low, high) {
  const found = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e += 1)
    for (const m of high / low < 8 ? [1, 1.5, 2, 3, 4, 5, 7] : [1, 2, 5]) { const v = m * 10 ** e; if (v >= low * 0.999 && v <= high * 1.001) found.push(v); }
  return found;
}

export function view(app) {
  const key = AXES[app.get("axis")] ? app.get("axis") : "p50_ms";
  const per = PER[key] ?? 1;
  const bounds = app.get("limits");
  const { points, front } = measured(app.rows(), key, bounds, (r) => app.judge(r), (t) => Boolean(app.rows().find((r) => r.target === t)?.stale));
  const seg = h("div", { class: "seg", role: "radiogroup", "aria-label": "Horizontal axis" }, Object.entries(SHORT).map(([k, label]) =>
    h("button", { role: "radio", "aria-checked": String(k === key), "data-k": `axis-${k}`, tabindex: k === key ? 0 : -1, onclick: () => app.set("axis", k),
      onkeydown: (event) => {
        const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!way) return;
        event.preventDefault();
        const keys = Object.keys(SHORT);
        const next = keys[(keys.indexOf(k) + way + keys.length) % keys.length];
        app.focus = `axis-${next}`;
        app.set("axis", next);
      } }, label)));
  const bar = h("div", { class: "row bars" }, limits(app), h("span", { class: "sp" }), seg);
  if (!points.length) return h("div", {}, bar, h("p", { class: "empty mut" }, "No target was timed yet. Profile some: a point for each batch size appears here."));
  const width = Math.max(app.viewWidth(), 300);
  const height = 340;
  const xs = points.map((p) => p.x);
  const [low, high] = [Math.min(...xs) / 1.25, Math.max(...xs) * 1.25];
  const most = Math.max(...points.map((p) => p.y)) * 1.15; // a whisker may leave the plot, a point not
  const [left, right, top, bottom] = [22 + 6.4 * grouped(most, 0).length, 18, 16, 40];
  const X = (v) => left + (Math.log(v / low) / Math.log(high / low)) * (width - left - right);
  const Y = (v) => height - bottom - (v / most) * (height - top - bottom);
  const step = [1, 2, 5].flatMap((m) => [0, 1, 2, 3, 4, 5, 6, 7].map((e) => m * 10 ** e)).sort((a, b) => a - b).find((n) => most / n <= 6) ?? most / 5;
  const id = `${app.id}-out`;
  const draw = s("svg", { width, height, class: "pareto", role: "group", "aria-label": `${points.length} points of ${app.rows().filter((r) => r.batches.length).length} targets, ${front.length} on the front` },
    s("defs", {}, s("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, s("path", { d: "M0 0v6", stroke: "var(--hatch)", "stroke-width": 1.5 }))));
  for (let v = 0; v <= most; v += step) draw.append(s("path", { d: `M${left} ${Y(v)}H${width - right}`, stroke: "var(--line)" }), s("text", { class: "ax", x: left - 8, y: Y(v) + 4, "text-anchor": "end" }, grouped(v, 0)));
  const marks = ticks(low / per, high / per);
  const thin = marks.length > 8 ? marks.filter((v) => /^1/.test(v.toExponential())) : marks;
  for (const v of thin) draw.append(s("path", { d: `M${X(v * per)} ${top}V${height - bottom}`, stroke: "var(--line)" }), s("text", { class: "ax", x: X(v * per), y: height - bottom + 15, "text-anchor": "middle" }, String(Number(v.toPrecision(2)))));
  draw.append(s("text", { class: "ax halo", x: width < 480 ? 0 : left, y: width < 480 ? 11 : height - 6 }, "↑ throughput, samples/s"), s("text", { class: "ax", x: width - right, y: height - 6, "text-anchor": "end" }, `${AXES[key]} (log)`));
  const bound = bounds[key];
  const unit = key === "error" ? "" : key.endsWith("_ms") ? " ms" : " MB";
  const hatch = (x, y, w, h) => s("rect", { x, y, width: Math.max(w, 0), height: Math.max(h, 0), fill: `url(#${id})` });
  if (bound) {
    const x = Math.min(Math.max(X(bound), left), width - right);
    draw.append(hatch(x, top, width - right - x, height - top - bottom),
      s("text", { class: "halo", x: x > width - 120 ? x - 5 : x + 5, y: top + 10, "text-anchor": x > width - 120 ? "end" : "start" }, `${SHORT[key]} ≤ ${Number((bound / per).toPrecision(4))}${unit}`));
  }
  const least = bounds.min_throughput;
  if (least) {
    const y = Math.min(Math.max(Y(least), top), height - bottom);
    draw.append(hatch(left, y, width - left - right, height - bottom - y),
      s("text", { class: "halo", x: width - right - 4, y: y - 4, "text-anchor": "end" }, `throughput ≥ ${significant(least)} /s`));
  }
  const selection = app.get("selection");
  const groups = new Map();
  for (const p of points) groups.set(p.row.target, [...(groups.get(p.row.target) ?? []), p]);
  for (const [target, own] of groups) {
    const chosen = selection.includes(target);
    own.sort((a, b) => a.batch.batch - b.batch.batch);
    draw.append(s("path", { d: own.map((p, i) => `${i ? "L" : "M"}${X(p.x)} ${Y(p.y)}`).join(""), fill: "none",
      stroke: own[0].wrong ? "var(--tol)" : app.colour(own[0].row.family), "stroke-width": chosen ? 2 : 1, opacity: chosen ? 1 : 0.55 }));
  }
  if (front.length) {
    let d = `M${X(front[0].x)} ${height - bottom}`;
    front.forEach((p, i) => { d += `V${Y(p.y)}H${X(front[i + 1]?.x ?? p.x)}`; });
    draw.append(s("path", { d, class: "front", fill: "none", stroke: "var(--fg)", "stroke-width": 1.6 }));
  }
  const onFront = new Set(front);
  const order = [...points].sort((a, b) => onFront.has(a) - onFront.has(b) || selection.includes(a.row.target) - selection.includes(b.row.target));
  const first = order.find((p) => selection.includes(p.row.target)) ?? front[0] ?? points[0];
  const tip = h("p", { class: "sm mut tip", role: "status" }, "Hover or focus a point; a click selects its target.");
  const tell = (p) => { tip.replaceChildren(h("span", { class: "mono" }, p.row.target), ` batch ${p.batch.batch}: ${significant(p.batch.p50_ms)}${THIN}ms p50, ${significant(p.batch.p99_ms)}${THIN}ms p99, ${interval(p.y, p.batch.throughput_low, p.batch.throughput_high)}${THIN}/s` +
    (p.wrong ? ", out of tolerance" : p.row.stale ? ", stale" : p.missed.length ? `, beyond the limit of ${p.missed.map((k) => LIMITS[k]?.words ?? k).join(" and ")}` : onFront.has(p) ? ", on the front" : "")); };
  for (const p of order) {
    const colour = p.wrong ? "var(--tol)" : app.colour(p.row.family);
    const [x, y] = [X(p.x), Y(p.y)];
    const solid = onFront.has(p);
    const whiskers = p.batch.throughput_high > p.batch.throughput_low ? s("path", { d: `M${x} ${Y(Math.max(p.batch.throughput_low, 0))}V${Y(Math.min(p.batch.throughput_high, most))}`, stroke: colour, opacity: 0.7 }) : null;
    const mark = s("g", { class: "pt", role: "button", "data-k": `pt-${p.row.target}-${p.batch.batch}`, "data-target": p.row.target, "data-batch": p.batch.batch, tabindex: p === first ? 0 : -1,
      "aria-pressed": String(selection.includes(p.row.target)), "aria-label": `${p.row.target}, batch ${p.batch.batch}, ${significant(p.x / per)}, ${significant(p.y)} samples a second${solid ? ", on the front" : ""}`,
      opacity: p.missed.length && !p.wrong ? 0.4 : 1, onmouseenter: () => tell(p), onfocus: () => tell(p),
      onclick: (event) => { app.focus = `pt-${p.row.target}-${p.batch.batch}`; pick(app, p.row.target, event); } },
    s("circle", { cx: x, cy: y, r: 11, fill: "transparent" }), whiskers,
    selection[0] === p.row.target && s("circle", { class: "ring", cx: x, cy: y, r: 9, fill: "none", stroke: "var(--accent)", "stroke-width": 2 }),
    p.wrong ? shape("wrong", x, y, 5, { fill: "var(--bg)", stroke: colour, "stroke-width": 1.2 })
      : shape(p.row.precision, x, y, 4.4, { fill: solid ? colour : "var(--bg)", stroke: colour, "stroke-width": 1.4 }));
    draw.append(mark);
  }
  labels(app, draw, groups, front, X, Y, width - right, selection);
  // The limits of both axes, to be dragged in from the edge; out there they bind nothing.
  const handle = (name, words, now, line, grip, read, keys) => draw.append(s("g", { class: `grip ${now === undefined ? "free" : ""}`, role: "slider", tabindex: 0, "data-k": `drag-${name}`,
    "aria-label": `limit of ${words}`, "aria-valuenow": now ?? 0, "aria-valuetext": now === undefined ? "none" : `${significant(now / (LIMITS[name].per))} ${LIMITS[name].unit}`,
    "aria-orientation": name === "min_throughput" ? "vertical" : "horizontal", onpointerdown: drag(app, name, read), onkeydown: keys },
  s("title", {}, `drag to limit ${words}; Delete takes the limit away`), s("path", { class: "reach", d: line }), s("path", { class: "line", d: line }), s("path", { class: "knob", d: grip })));
  const svg = () => document.getElementById(id)?.ownerSVGElement ?? draw; // it is drawn anew meanwhile
  const at = (e) => { const box = svg().getBoundingClientRect(); return [(e.clientX - box.left) * (width / box.width), (e.clientY - box.top) * (height / box.height)]; };
  if (LIMITS[key]) {
    const x = bound ? Math.min(Math.max(X(bound), left), width - right) : width - right;
    handle(key, LIMITS[key].words, bound, `M${x} ${top}V${height - bottom}`, `M${x - 5} ${top - 8}h10v7l-5 6l-5-6z`,
      (e) => { const [px] = at(e); return px >= width - right - 3 ? null : Number((low * Math.exp(((Math.max(px, left) - left) / (width - left - right)) * Math.log(high / low))).toPrecision(3)); },
      nudge(app, key, high, "ArrowRight", "ArrowLeft"));
  }
  const y = least ? Math.min(Math.max(Y(least), top), height - bottom) : height - bottom;
  handle("min_throughput", "throughput", least, `M${left} ${y}H${width - right}`, `M${width - right + 12} ${y - 5}v10h-7l-6-5l6-5z`,
    (e) => { const [, py] = at(e); return py >= height - bottom - 3 ? null : Number((((height - bottom - Math.max(py, top)) / (height - top - bottom)) * most).toPrecision(3)); },
    nudge(app, "min_throughput", most / 100, "ArrowUp", "ArrowDown"));
  draw.addEventListener("keydown", (event) => {
    const from = order.findIndex((p) => `pt-${p.row.target}-${p.batch.batch}` === event.target.dataset?.k);
    if (from < 0) return;
    const walk = [...points].sort((a, b) => a.x - b.x);
    const here = walk.indexOf(order[from]);
    const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (way) {
      event.preventDefault();
      event.stopPropagation();
      const next = walk[(here + way + walk.length) % walk.length];
      draw.querySelectorAll(".pt").forEach((g) => g.setAttribute("tabindex", g.dataset.k === `pt-${next.row.target}-${next.batch.batch}` ? 0 : -1));
      draw.querySelector(".pt[tabindex='0']").focus();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      event.stopPropagation();
      app.focus = event.target.dataset.k;
      pick(app, walk[here].row.target, event);
    }
  });
  const families = [...new Set(points.map((p) => p.row.family))];
  const kinds = [...new Set(points.map((p) => p.row.precision))];
  const legend = h("div", { class: "row lg sm" }, families.map((f) => h("span", {}, s("svg", { class: "i", viewBox: "0 0 14 14", "aria-hidden": "true" }, s("path", { d: "M1 7h12", stroke: app.colour(f), "stroke-width": 3 })), f)),
    h("span", { class: "bar1" }), kinds.map((k) => h("span", {}, glyph(k, "var(--muted)"), k)),
    h("span", {}, s("svg", { class: "i", viewBox: "0 0 14 14", "aria-hidden": "true" }, s("circle", { cx: 7, cy: 7, r: 4, fill: "none", stroke: "var(--muted)", "stroke-width": 1.4 })), "off the front"),
    points.some((p) => p.wrong) && h("span", {}, s("svg", { class: "i s-tol", viewBox: "0 0 14 14", "aria-hidden": "true" }, shape("wrong", 7, 7, 5, { fill: "none", stroke: "currentColor", "stroke-width": 1.2 })), "out of tolerance"));
  return h("div", {}, bar, h("div", { class: "scroll plot" }, draw), legend, tip, app.code("pareto"));
}

// Names beside the lines that matter: the selected, the front's, the baseline; none over another.
function labels(app, draw, groups, front, X, Y, edge, selection) {
  const base = app.get("results").baseline;
  const wanted = [...new Set([...selection, ...front.map((p) => p.row.target), base])].filter((t) => groups.has(t)).slice(0, 7);
  const taken = [];
  for (const target of wanted) {
    const own = groups.get(target);
    const best = own.filter((p) => front.includes(p)).at(-1) ?? own.at(-1);
    const text = target === base ? `baseline ${target}` : target;
    const long = text.length > 36 ? `${text.slice(0, 16)}…${text.slice(-18)}` : text;
    const wide = long.length * 6.7;
    const [px, py] = [X(best.x), Y(best.y)];
    const spots = [[px + 12, py + 4], [px - 12 - wide, py + 4], [px - wide / 2, py - 13], [px - wide / 2, py + 22], [px + 12, py + 19], [px - 12 - wide, py - 11]]
      .map(([x, y]) => [Math.min(Math.max(x, 62), edge - wide), Math.max(y, 12)]);
    const points = [...groups.values()].flat().map((p) => [X(p.x), Y(p.y)]);
    const clash = ([x, y]) => taken.filter(([a, b, w]) => x < a + w && a < x + wide && Math.abs(y - b) < 14).length * 10 +
      points.filter(([a, b]) => a > x - 7 && a < x + wide + 7 && b > y - 15 && b < y + 7).length;
    const [x, y] = spots.reduce((a, b) => (clash(b) < clash(a) ? b : a));
    if (taken.some(([a, b, w]) => x < a + w && a < x + wide && Math.abs(y - b) < 13)) continue;
    taken.push([x, y, wide]);
    draw.append(s("text", { class: "mo halo", x, y, "pointer-events": "none", fill: "var(--fg)" }, long));
  }
}
