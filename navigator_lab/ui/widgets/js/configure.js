// The configuration of the package: a form of its usual fields, lines of any other, its text live.
import { h, icon } from "./dom.js";

const FORM = [
  ["max_batch_size", "Largest batch"], ["preferred_batch_sizes", "Preferred batches"],
  ["max_queue_delay_us", "Queue delay, µs"], ["instance_count", "Instances"], ["instance_kind", "They run"],
];
const KINDS = { KIND_CPU: "on the CPU", KIND_GPU: "on the GPU", KIND_AUTO: "where it can", KIND_MODEL: "as the model says" };

const wrongs = (now) => Object.keys(now.errors ?? {}).length;
const words = (now) => now.state === "working" ? now.words : wrongs(now) ? "as asked, without what is wrong" :
  Object.keys(now.asked ?? {}).length ? "with your changes; Export writes it" : "by the defaults; Export writes it";
// A sentence, unless it begins with a name of Triton's.
const sentence = (text) => `${/^[a-z]+ /.test(text) ? text[0].toUpperCase() : text[0]}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;
const said = (error) => (error ? [icon("failed"), h("span", { class: "wrap" }, [sentence(error[0]), error[1] && sentence(error[1])].filter(Boolean).join(" "))] : []);

// Why the package can't be exported as the form stands; "" if it can.
export function barred(app, target) {
  const now = app.get("configured");
  return now.target === target && wrongs(now) ? "A field of the configuration is wrong: mend it, or take the defaults." : "";
}

// What the kernel said of it, written into what is there: the section waits while one types in it.
export function live(app) {
  const place = app.local.config;
  const now = app.get("configured");
  if (!place?.text.isConnected || now.target !== place.target || now.text === undefined) return;
  place.text.textContent = now.text;
  place.state.textContent = words(now);
  for (const [key, wrong] of Object.entries(place.wrong)) wrong.replaceChildren(...said(now.errors?.[key]));
  app.local.exporting?.();
}

export function hint(app, target) {
  const now = app.get("configured");
  if (now.target !== target) return h("p", { class: "sm mut" }, "Preview shows the config.pbtxt of this target, says where each value comes from, and lets you change it. It writes nothing into your repository.");
  if (now.state === "failed") return h("div", { class: "note err", role: "status" }, h("span", { class: "s-failed" }, icon("failed")), h("div", { class: "wrap" }, now.words, now.remedy && h("p", { class: "sm" }, `Remedy: ${now.remedy}`)));
  return now.defaults ? null : h("p", { class: "sm mut", role: "status" }, icon("running"), " ", now.words);
}

export function form(app, target) {
  const now = app.get("configured");
  if (now.target !== target || now.state === "failed" || !now.defaults) return null;
  const own = app.get("configuration");
  const keep = (key, value) => {
    const next = { ...app.get("configuration") };
    if (value === "" || value === false) delete next[key];
    else next[key] = value;
    app.set("configuration", next);
  };
  // What is typed is tried a moment afterwards; when the field is left, at once.
  let timer = 0;
  const typing = (key) => ({
    oninput: (event) => { clearTimeout(timer); timer = setTimeout(() => keep(key, event.target.value.trim()), 300); },
    onchange: (event) => { clearTimeout(timer); keep(key, event.target.value.trim()); },
  });
  const place = { target, wrong: {}, text: h("pre", { class: "log pb", tabindex: 0, role: "region", "aria-label": "config.pbtxt" }, now.text), state: h("span", { class: "sm mut", role: "status" }, words(now)) };
  app.local.config = place;
  const id = (key) => `${app.id}-cfg-${key}`;
  const wrong = (key) => (place.wrong[key] = h("p", { class: "sm wrong", id: `${id(key)}-wrong`, role: "alert" }, said(now.errors?.[key])));
  const why = (key) => { const [value, reason] = now.defaults[key]; return sentence(own[key] ? `default ${value}: ${reason}` : reason); };
  const label = (key, text) => h("label", { class: "sm", for: id(key) }, text);
  const input = (key) => h("input", { type: "text", id: id(key), "data-k": `cfg-${key}`, size: 7, placeholder: now.defaults[key][0], value: own[key] ?? "", disabled: app.gone, "aria-describedby": `${id(key)}-wrong`, ...typing(key) });
  const kind = h("select", { class: "sel", id: id("instance_kind"), "data-k": "cfg-instance_kind", disabled: app.gone, onchange: (event) => keep("instance_kind", event.target.value === now.defaults.instance_kind[0] ? "" : event.target.value) },
    Object.entries(KINDS).map(([value, text]) => h("option", { value, selected: value === (own.instance_kind || now.defaults.instance_kind[0]) }, text)));
  const cache = h("input", { type: "checkbox", id: id("response_cache"), "data-k": "cfg-response_cache", checked: Boolean(own.response_cache), disabled: app.gone, onchange: (event) => keep("response_cache", event.target.checked) });
  const lines = h("textarea", { id: id("lines"), "data-k": "cfg-lines", rows: 3, spellcheck: "false", placeholder: 'optimization { graph { level: 1 } }', value: own.lines ?? "", disabled: app.gone, "aria-describedby": `${id("lines")}-wrong`, ...typing("lines") });
  return h("div", { class: "cfg" },
    h("div", { class: "form" },
      FORM.map(([key, text]) => [label(key, text), key === "instance_kind" ? kind : h("div", {}, input(key)),
        h("div", { class: "sm mut why" }, key === "instance_kind" ? "" : why(key), wrong(key))]),
      [label("response_cache", "Response cache"), h("div", {}, cache), h("div", { class: "sm mut why" }, why("response_cache"), wrong("response_cache"))],
      [label("lines", "Other lines"), h("div", { class: "all" }, lines, wrong("lines"),
        h("p", { class: "sm mut" }, "Any other lines of config.pbtxt. They win over the fields above; a list replaces the one that was there."))]),
    h("div", {}, h("div", { class: "row" }, h("span", { class: "mono" }, "config.pbtxt"), place.state, h("span", { class: "sp" }),
      Object.keys(own).length > 0 && h("button", { class: "lnk sm", "data-k": "cfg-defaults", disabled: app.gone, onclick: () => app.set("configuration", {}) }, "Defaults"),
      h("button", { class: "lnk sm", "data-k": "copy-config", onclick: () => app.copy(app.get("configured").text, "config.pbtxt") }, "Copy")),
    place.text));
}
