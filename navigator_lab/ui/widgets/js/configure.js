// The configuration of the package: a form of its usual fields, lines of any other, its text live.
import { h, icon } from "./dom.js";

const FORM = [
  ["max_batch_size", "Largest batch", "numeric"], ["preferred_batch_sizes", "Preferred batches", "text"],
  ["max_queue_delay_us", "Queue delay, µs", "numeric"], ["instance_count", "Instances", "numeric"],
];
const KINDS = { KIND_CPU: "on CPU", KIND_GPU: "on GPU", KIND_AUTO: "where it can" };

// What the kernel said of it, written into what is there: the section waits while one types in it.
export function live(app) {
  const place = app.local.config;
  const now = app.get("configured");
  if (!place?.text.isConnected || now.target !== place.target || now.text === undefined) return;
  place.text.textContent = now.text;
  place.state.textContent = words(now);
  for (const [key, wrong] of Object.entries(place.wrong)) wrong.replaceChildren(...said(now.errors?.[key]));
}

const words = (now) => now.state === "working" ? now.words : Object.keys(now.errors ?? {}).length ? "Without what is wrong." :
  Object.keys(now.asked ?? {}).length ? "With your changes; nothing is written before Export." : "As Export writes it; nothing was written yet.";
const said = (error) => (error ? [icon("failed"), h("span", { class: "wrap" }, error[0], error[1] ? ` ${error[1][0].toUpperCase()}${error[1].slice(1)}.` : "")] : []);

export function form(app, target) {
  const now = app.get("configured");
  if (now.target !== target) return h("p", { class: "sm mut" }, "The configuration shows config.pbtxt as it will be exported, lets you edit it, and writes nothing into your repository.");
  if (now.state === "failed") return h("div", { class: "note err", role: "status" }, h("span", { class: "s-failed" }, icon("failed")), h("div", { class: "wrap" }, now.words, now.remedy && h("p", { class: "sm" }, `Remedy: ${now.remedy}`)));
  if (!now.defaults) return h("p", { class: "sm mut", role: "status" }, now.words);
  const own = app.get("configuration");
  const keep = (key, value) => {
    const next = { ...app.get("configuration") };
    if (value === "" || value === false) delete next[key];
    else next[key] = value;
    app.set("configuration", next);
  };
  // Each word is tried a moment after it was typed; a field that is left, at once.
  let timer = 0;
  const typing = (key) => ({
    oninput: (event) => { clearTimeout(timer); timer = setTimeout(() => keep(key, event.target.value.trim()), 300); },
    onchange: (event) => { clearTimeout(timer); keep(key, event.target.value.trim()); },
  });
  const place = { target, wrong: {}, text: h("pre", { class: "log pb", tabindex: 0, role: "region", "aria-label": "config.pbtxt" }, now.text), state: h("span", { class: "sm mut", role: "status" }, words(now)) };
  app.local.config = place;
  const id = (key) => `${app.id}-cfg-${key}`;
  const reason = (key) => { const [value, why] = now.defaults[key] ?? ["", ""]; return `${value}: ${why}`; };
  const row = (key, label, control, why, more) => {
    place.wrong[key] = h("p", { class: "sm bad", id: `${id(key)}-wrong`, role: "alert" }, said(now.errors?.[key]));
    return [h("label", { class: "sm", for: id(key) }, label), h("div", { class: "row" }, control, more), h("div", { class: "sm mut why" }, why, place.wrong[key])];
  };
  const input = (key, mode) => h("input", { type: "text", id: id(key), "data-k": `cfg-${key}`, inputmode: mode, size: 8, placeholder: now.defaults[key][0], value: own[key] ?? "", disabled: app.gone, "aria-describedby": `${id(key)}-wrong`, ...typing(key) });
  const kind = h("select", { class: "sel", "data-k": "cfg-instance_kind", "aria-label": "Instances are", disabled: app.gone, onchange: (event) => keep("instance_kind", event.target.value === now.defaults.instance_kind[0] ? "" : event.target.value) },
    Object.entries(KINDS).map(([value, label]) => h("option", { value, selected: value === (own.instance_kind || now.defaults.instance_kind[0]) }, label)));
  place.wrong.instance_kind = h("p", { class: "sm bad", role: "alert" }, said(now.errors?.instance_kind));
  const cache = h("input", { type: "checkbox", id: id("response_cache"), "data-k": "cfg-response_cache", checked: Boolean(own.response_cache), disabled: app.gone, onchange: (event) => keep("response_cache", event.target.checked) });
  const lines = h("textarea", { id: id("lines"), "data-k": "cfg-lines", rows: 3, spellcheck: "false", placeholder: "parameters { key: \"…\" value { string_value: \"…\" } }", value: own.lines ?? "", disabled: app.gone, "aria-describedby": `${id("lines")}-wrong`, ...typing("lines") });
  const changed = Object.keys(own).length > 0;
  return h("div", { class: "cfg" },
    h("div", { class: "form" },
      FORM.map(([key, label, mode]) => row(key, label, input(key, mode), reason(key), key === "instance_count" && kind)),
      row("response_cache", "Response cache", cache, reason("response_cache")),
      row("lines", "More lines", lines, "Any other lines of config.pbtxt. They win over what stands above; a list replaces the one that was there.")),
    place.wrong.instance_kind,
    h("div", { class: "row" }, h("span", { class: "mono" }, "config.pbtxt"), place.state, h("span", { class: "sp" }),
      changed && h("button", { class: "lnk sm", "data-k": "cfg-defaults", onclick: () => app.set("configuration", {}) }, "Defaults"),
      h("button", { class: "lnk sm", "data-k": "copy-config", onclick: () => app.copy(app.get("configured").text, "config.pbtxt") }, "Copy")),
    place.text);
}
