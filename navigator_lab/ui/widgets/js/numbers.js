// Numbers as people read them: three significant digits, intervals, units that fit.
// The same rules as `views/numbers.py`.

export const THIN = "\u202f"; // narrow no-break space

export function grouped(value, places) {
  const [whole, rest] = Math.abs(value).toFixed(places).split(".");
  const sign = value < 0 ? "−" : "";
  const groups = whole.replace(/\B(?=(\d{3})+(?!\d))/g, THIN);
  return sign + groups + (rest ? `.${rest}` : "");
}

export function significant(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return "∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e9) return value.toExponential(digits - 1).replace("e+", "e");
  const places = digits - 1 - Math.floor(Math.log10(size));
  const scale = 10 ** places;
  return grouped(Math.round(value * scale) / scale, Math.max(places, 0));
}

// [value, uncertainty] of an interval: one digit of uncertainty, the value rounded to it. Where the
// interval is as wide as the value, only the first digit of the value means anything.
export function parts(value, low, high) {
  const half = Math.max(high - value, value - low);
  if (!(half > 0) || !Number.isFinite(half) || !Number.isFinite(value)) return [significant(value), ""];
  if (half >= Math.abs(value) / 2) return [`~${significant(value, 1)}`, ""];
  let places = -Math.floor(Math.log10(half));
  if (Math.round(half * 10 ** places) >= 10) places -= 1; // 0.96 rounds to 1.0: one digit less
  const shown = Math.max(places, 0);
  const round = (x) => Math.round(x * 10 ** places) / 10 ** places;
  return [grouped(round(value), shown), grouped(round(half), shown)];
}

export function interval(value, low, high) {
  const [number, half] = parts(value, low, high);
  if (number.startsWith("~")) return `${number} (${significant(low, 1)} to ${significant(high, 1)})`;
  return half ? `${number}${THIN}±${THIN}${half}` : number;
}

export function ratio(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.001) return value === 0 ? "0" : "<0.001";
  return significant(value, value > 0.95 && value < 1.05 ? 3 : 2);
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 999.5 || unit === "GB") return `${unit === "B" ? grouped(value, 0) : significant(value)}${THIN}${unit}`;
    value /= 1000;
  }
  return "";
}

export function seconds(value) {
  if (value < 60) return `${Math.max(Math.round(value), 0)}${THIN}s`;
  const whole = 5 * Math.round(value / 5);
  return `${Math.floor(whole / 60)}${THIN}min ${whole % 60}${THIN}s`;
}
