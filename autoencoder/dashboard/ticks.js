// Numbers, ticks and clocks for chart.js, which follows it in one module.

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const floats = (text) => new Float64Array(bytes(text).buffer);
const number = (value) => (Number.isNaN(value) ? "not known" : value.toLocaleString("en-US", { maximumSignificantDigits: 5 }));

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

// Ticks lie at round times of the clock on the wall of that zone.
function dateTicks(low, high, most, clock) {
  const from = clock.local(low), to = clock.local(high), ticks = [];
  const step = STEPS.find((each) => (to - from) / each <= most);
  const add = (wall, text, under) => {
    ticks.push({ value: clock.instant(wall), text, under: under === add.under ? "" : under });
    add.under = under;
  };
  if (!step) {
    const months = [1, 2, 3, 6, 12, 24, 60, 120].find((count) => (to - from) / (count * MONTH) <= most) ?? 240;
    const start = new Date(from);
    for (let count = Math.floor((start.getUTCFullYear() * 12 + start.getUTCMonth()) / months) * months; ; count += months) {
      const wall = Date.UTC(Math.floor(count / 12), count % 12), year = String(Math.floor(count / 12));
      if (wall > to) return ticks;
      if (wall >= from) months < 12 ? add(wall, MONTHS[count % 12], year) : add(wall, year, "");
    }
  }
  for (let wall = Math.ceil(from / step) * step; wall <= to; wall += step) {
    const date = new Date(wall), day = `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`, year = date.getUTCFullYear();
    const minute = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
    if (step >= DAY) add(wall, day, String(year));
    else if (step >= MINUTE) add(wall, minute, `${day} ${year}`);
    else if (step >= SECOND) add(wall, `${minute}:${two(date.getUTCSeconds())}`, `${day} ${year}`);
    else add(wall, `${two(date.getUTCSeconds())}.${String(date.getUTCMilliseconds()).padStart(3, "0")}`, `${day} ${year} ${minute}`);
  }
  return ticks;
}

// What the clock on the wall shows in a time zone, as milliseconds, and back; times without a zone are shown as they are.
function clockOf(zone) {
  let offset = () => 0;
  if (zone && zone !== "UTC") {
    try {
      const fields = { year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" };
      const format = new Intl.DateTimeFormat("en-US", { timeZone: zone, hourCycle: "h23", ...fields });
      offset = (time) => {
        const at = Object.fromEntries(format.formatToParts(time).map(({ type, value }) => [type, Number(value)]));
        return Date.UTC(at.year, at.month - 1, at.day, at.hour, at.minute, at.second) - Math.floor(time / SECOND) * SECOND;
      };
    } catch { zone = "UTC"; } // a zone that this browser does not know
  }
  const local = (time) => time + offset(time);
  const write = (time) => {
    const [day, clock] = new Date(local(time)).toISOString().split("T"), exact = clock.slice(0, -1).replace(/\.000$/, "").replace(/:00$/, "");
    return exact === "00:00" ? day : `${day} ${exact}${zone ? ` ${zone}` : ""}`;
  };
  return { local, write, instant: (wall) => wall - offset(wall - offset(wall)) };
}

function isDark(color) {
  const [red, green, blue] = (color.trim().match(/^#(..)(..)(..)/)?.slice(1) ?? ["ff", "ff", "ff"]).map((part) => parseInt(part, 16));
  return red * 0.3 + green * 0.6 + blue * 0.1 < 128;
}
