// Numbers, ticks and times for chart.js, which follows it in one module.

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const floats = (text) => new Float64Array(bytes(text).buffer).map((value) => (Number.isFinite(value) ? value : NaN));
const number = (value) => (Number.isNaN(value) ? "not known" : value.toLocaleString("en-US", { maximumSignificantDigits: 5 }));

// A panel with the range of heights that it shows.
function withRange(panel, { log, everyday }) {
  let low = Infinity, high = -Infinity, least = Infinity;
  for (const line of [panel.line, panel.companion]) for (const value of line) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  for (const value of panel.companion) if (value > 0 && value < least) least = value;
  if (low > high) return { ...panel, low: 0, high: 1, log: false };
  if (panel.kind === "error" && log && high > 0) {
    // how far errors lie below the everyday ones says nothing, and would take the room of those above
    return { ...panel, low: Math.min(everyday / 5, least / 1.5, high / 10), high: high * 1.8, log };
  }
  const margin = 0.08 * (high - low) || 0.05 * Math.abs(high) || 0.5;
  return { ...panel, low: panel.kind === "error" && low >= 0 ? 0 : low - margin, high: high + margin, log: false };
}

function nearest(x, time) {
  let low = 0, high = x.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (x[middle] < time) low = middle;
    else high = middle;
  }
  return Math.abs(x[low] - time) < Math.abs(x[high] - time) ? low : high;
}

function evenTicks(low, high, most) {
  const rough = (high - low) / Math.max(most, 2), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough) ?? 10 * power;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), first = Math.ceil(low / step), ticks = [];
  for (let count = first; count * step <= high; count++) {
    const value = count * step;
    const text = digits > 6 || Math.abs(high) >= 1e9 ? value.toPrecision(3) : value.toLocaleString("en-US", { maximumFractionDigits: digits });
    ticks.push({ value: Number(value.toPrecision(12)), text });
  }
  return ticks;
}

function logTicks(low, high) {
  const decades = Math.log10(high / low), ticks = [];
  const factors = decades < 1.5 ? [1, 2, 5] : [1], every = Math.max(1, Math.ceil(decades / 5));
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    if (power % every) continue;
    for (const factor of factors) {
      const value = factor * 10 ** power;
      if (value >= low && value <= high) ticks.push({ value, text: power > 5 || power < -4 ? value.toExponential(0) : String(Number(value.toPrecision(3))) });
    }
  }
  return ticks;
}

const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR, MONTH = 30.4 * DAY, YEAR = 365.25 * DAY;
const STEPS = [
  ...[1, 10, 100], ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND), ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR), ...[1, 2, 5, 10].map((count) => count * DAY),
];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (count) => String(count).padStart(2, "0");

function dateTicks(low, high, most) {
  const ticks = [], step = STEPS.find((each) => (high - low) / each <= most);
  const add = (value, text, under) => {
    ticks.push({ value, text, under: under === add.under ? "" : under });
    add.under = under;
  };
  if (!step) {
    const months = [1, 2, 3, 6, 12, 24, 60, 120].find((count) => (high - low) / (count * MONTH) <= most) ?? 240;
    const start = new Date(low);
    for (let count = Math.floor((start.getUTCFullYear() * 12 + start.getUTCMonth()) / months) * months; ; count += months) {
      const time = Date.UTC(Math.floor(count / 12), count % 12), year = String(Math.floor(count / 12));
      if (time > high) return ticks;
      if (time >= low) months < 12 ? add(time, MONTHS[count % 12], year) : add(time, year, "");
    }
  }
  for (let time = Math.ceil(low / step) * step; time <= high; time += step) {
    const date = new Date(time), day = `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`, year = date.getUTCFullYear();
    const minute = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
    if (step >= DAY) add(time, day, String(year));
    else if (step >= MINUTE) add(time, minute, `${day} ${year}`);
    else if (step >= SECOND) add(time, `${minute}:${two(date.getUTCSeconds())}`, `${day} ${year}`);
    else add(time, `${two(date.getUTCSeconds())}.${String(date.getUTCMilliseconds()).padStart(3, "0")}`, `${day} ${year} ${minute}`);
  }
  return ticks;
}

// A time as text, with as much of it as it needs.
function written(time) {
  const [day, clock] = new Date(time).toISOString().split("T"), exact = clock.slice(0, -1).replace(/\.000$/, "").replace(/:00$/, "");
  return exact === "00:00" ? day : `${day} ${exact}`;
}

function isDark(color) {
  const [red, green, blue] = (color.trim().match(/^#(..)(..)(..)/)?.slice(1) ?? ["ff", "ff", "ff"]).map((part) => parseInt(part, 16));
  return red * 0.3 + green * 0.6 + blue * 0.1 < 128;
}
