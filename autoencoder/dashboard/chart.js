// Draws what chart.py describes: panels that share the time axis, each with a line, its companion and flagged dots.
// The page sends new points into the same canvas, so nothing jumps or flickers; zooming asks the page for a finer line.

const LEFT = 60, RIGHT = 10, TOP = 22, BOTTOM = 40, GAP = 34; // pixels around and between panels
const HEIGHTS = { value: 230, error: 130 };
const SEND_AFTER = 120; // milliseconds without a further zoom
const CLICK = 4; // pixels: a shorter drag is no drag

const LIGHT = {
  value: "#2B3440", expected: "#1F8DE0", error: "#68737F", threshold: "#D98200", flagged: "#D1202F", ring: "#FFFFFF",
  training: "#8A929C2E", known: "#009E7338", incident: "#D1202FBF", chosen: "#D1202F1F", grid: "#8A929C33", text: "#4A5560",
};
const DARK = {
  value: "#D7DEE6", expected: "#4FB0FF", error: "#9AA6B2", threshold: "#FFB03A", flagged: "#FF5A66", ring: "#14171A",
  training: "#A0AAB429", known: "#18C29440", incident: "#FF5A66BF", chosen: "#FF5A662B", grid: "#A0AAB42B", text: "#B4BEC8",
};
const LEGEND = [ // key, what it is called, how it is drawn
  ["value", "value", "line"], ["expected", "expected", "line"], ["error", "error", "line"], ["threshold", "threshold", "line"],
  ["flagged", "flagged", "dot"], ["incident", "incident", "line"], ["known", "known anomaly", "band"], ["training", "training", "band"],
];

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".chart");
  root.chart ??= new Chart(root);
  root.chart.send = (range) => setStateValue("range", range);
  root.chart.show(data);
  return () => {
    root.chart?.close();
    root.chart = null;
  };
}

class Chart {
  constructor(root) {
    this.root = root;
    this.find = (selector) => root.querySelector(selector);
    [this.below, this.above] = root.querySelectorAll("canvas");
    this.zoom = null; // [from, to]; null: what the page follows
    this.focus = 0;
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.find(".stage"));
    this.listen();
  }

  close() {
    this.observer.disconnect();
    clearTimeout(this.timer);
  }

  show(data) {
    this.data = {
      ...data,
      x: floats(data.x),
      flags: bytes(data.flags),
      panels: data.panels.map((panel) => withRange({ ...panel, line: floats(panel.line), companion: floats(panel.companion) }, data)),
    };
    if (data.focus !== this.focus) {
      [this.focus, this.zoom] = [data.focus, data.zoom];
      clearTimeout(this.timer);
    }
    const height = TOP + BOTTOM + data.panels.reduce((sum, panel) => sum + HEIGHTS[panel.kind] + GAP, -GAP);
    this.find(".stage").style.height = `${height}px`;
    Object.assign(this.root.dataset, { points: data.points, flagged: data.flagged, updates: Number(this.root.dataset.updates ?? 0) + 1 });
    this.draw();
  }

  get range() {
    const [low, high] = this.zoom ?? this.data.follow;
    return high > low ? [low, high] : [low - 1, high + 1];
  }

  // --- zoom and pan ---

  look(low, high) {
    const [first, last] = this.data.whole;
    const width = Math.min(high - low, last - first);
    const start = Math.min(Math.max(low, first), last - width);
    this.zoom = width > 0 && width < last - first ? [start, start + width] : null;
    this.draw();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(this.zoom), SEND_AFTER);
  }

  scale(factor) {
    const [low, high] = this.range, middle = (low + high) / 2, half = ((high - low) / 2) * factor;
    this.look(middle - half, middle + half);
  }

  pan(share) {
    const [low, high] = this.range, step = (high - low) * share;
    this.look(low + step, high + step);
  }

  listen() {
    const acts = { left: () => this.pan(-0.4), right: () => this.pan(0.4), in: () => this.scale(0.5), out: () => this.scale(2), reset: () => this.look(-Infinity, Infinity) };
    for (const [name, act] of Object.entries(acts)) this.find(`button.${name}`).onclick = act;
    const canvas = this.above, at = (event) => event.clientX - canvas.getBoundingClientRect().left;
    canvas.onmousedown = (event) => event.preventDefault(); // a drag or double click must not select text behind the chart
    canvas.ondblclick = acts.reset;
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.drag = { from: at(event), to: at(event), pans: event.shiftKey, range: this.range };
    };
    canvas.onpointermove = (event) => {
      const x = at(event);
      if (this.drag?.pans) {
        const [low, high] = this.drag.range, step = ((this.drag.from - x) / this.width) * (high - low);
        this.look(low + step, high + step);
      } else if (this.drag) this.drag.to = x;
      this.hover = this.drag ? null : x;
      this.drawAbove();
    };
    canvas.onpointerup = () => {
      const { from, to, pans } = this.drag ?? {};
      this.drag = null;
      if (!pans && Math.abs(to - from) > CLICK) this.look(this.timeAt(Math.min(from, to)), this.timeAt(Math.max(from, to)));
      this.drawAbove();
    };
    canvas.onpointercancel = () => { this.drag = null; this.drawAbove(); };
    canvas.onpointerleave = () => { this.hover = null; this.drawAbove(); };
  }

  // --- drawing ---

  draw() {
    if (this.data && !this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.drawNow(); });
  }

  drawNow() {
    const pen = this.prepare(this.below);
    const style = getComputedStyle(this.root);
    this.colors = isDark(style.getPropertyValue("--st-background-color")) ? DARK : LIGHT;
    this.font = `12px ${style.fontFamily}`;
    pen.font = this.font;
    this.width = Math.max(this.below.clientWidth - LEFT - RIGHT, 50);
    let top = TOP, dots = 0;
    this.boxes = this.data.panels.map((panel) => {
      const box = { panel, top, height: HEIGHTS[panel.kind] };
      top += box.height + GAP;
      return box;
    });
    this.drawTimes(pen);
    for (const box of this.boxes) dots += this.drawPanel(pen, box);
    Object.assign(this.root.dataset, { dots, from: this.range[0], to: this.range[1] });
    this.drawLegend();
    this.drawAbove();
  }

  prepare(canvas) {
    const ratio = window.devicePixelRatio || 1, pen = canvas.getContext("2d");
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    return pen;
  }

  place(time) {
    const [low, high] = this.range;
    return LEFT + ((time - low) / (high - low)) * this.width;
  }

  timeAt(pixel) {
    const [low, high] = this.range;
    return low + ((pixel - LEFT) / this.width) * (high - low);
  }

  drawPanel(pen, box) {
    const { panel, top, height } = box, { colors } = this, main = panel.kind === "value" ? "value" : "error";
    const measure = panel.log ? (number) => Math.log10(Math.max(number, Number.MIN_VALUE)) : (number) => number;
    const [low, high] = [measure(panel.low), measure(panel.high)];
    const level = (number) => top + height - ((measure(number) - low) / (high - low)) * height;
    pen.fillStyle = colors.text;
    pen.textAlign = "left";
    pen.textBaseline = "alphabetic";
    pen.fillText(panel.name + (panel.log ? " (logarithmic)" : ""), LEFT, top - 7);
    this.drawHeights(pen, panel, level, top, height);
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, top, this.width, height);
    pen.clip();
    for (const name of ["training", "known", "chosen"]) this.drawBands(pen, name, top, height);
    if (main === "value") this.drawBands(pen, "incident", top + height - 5, 5);
    this.drawLine(pen, panel.line, level, colors[main], 1.1);
    this.drawLine(pen, panel.companion, level, colors[main === "value" ? "expected" : "threshold"], 1.5);
    const dots = this.drawDots(pen, panel.line, level);
    pen.restore();
    return main === "value" ? dots : 0;
  }

  drawHeights(pen, panel, level, top, height) {
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    pen.lineWidth = 1;
    pen.strokeStyle = this.colors.grid;
    const ticks = panel.log ? logTicks(panel.low, panel.high) : evenTicks(panel.low, panel.high, height / 42);
    for (const { value, text } of ticks) {
      const y = Math.round(level(value)) + 0.5;
      if (y < top - 1 || y > top + height + 1) continue;
      pen.beginPath();
      pen.moveTo(LEFT, y);
      pen.lineTo(LEFT + this.width, y);
      pen.stroke();
      pen.fillText(text, LEFT - 8, y);
    }
  }

  drawTimes(pen) {
    const [low, high] = this.range, last = this.boxes.at(-1), bottom = last.top + last.height;
    const most = Math.max(2, Math.floor(this.width / 95));
    const ticks = this.data.dates ? dateTicks(low, high, most) : evenTicks(low, high, most).filter(({ value }) => Number.isInteger(value));
    pen.strokeStyle = this.colors.grid;
    pen.fillStyle = this.colors.text;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (const { value, text, under } of ticks) {
      const x = Math.round(this.place(value)) + 0.5;
      if (x < LEFT || x > LEFT + this.width) continue;
      for (const { top, height } of this.boxes) {
        pen.beginPath();
        pen.moveTo(x, top);
        pen.lineTo(x, top + height);
        pen.stroke();
      }
      pen.fillText(text, x, bottom + 7);
      if (under) pen.fillText(under, x, bottom + 22);
    }
  }

  drawBands(pen, name, top, height) {
    pen.fillStyle = this.colors[name];
    for (const [from, to] of this.data.bands[name]) {
      const left = this.place(from), right = this.place(to);
      pen.fillRect(left - 1, top, Math.max(right - left, 1) + 2, height);
    }
  }

  drawLine(pen, heights, level, color, width) {
    const { x } = this.data;
    pen.strokeStyle = pen.fillStyle = color;
    pen.lineWidth = width;
    pen.lineJoin = "round";
    pen.beginPath();
    for (let row = 0, draws = false; row < x.length; row++) {
      if (Number.isNaN(heights[row])) { draws = false; continue; }
      const across = this.place(x[row]), down = level(heights[row]);
      if (draws) pen.lineTo(across, down);
      else pen.moveTo(across, down);
      // a point between two gaps has no line to lie on: it gets a dot
      if (!draws && (row + 1 === x.length || Number.isNaN(heights[row + 1]))) pen.rect(across - 0.5, down - 0.5, 1, 1);
      draws = true;
    }
    pen.stroke();
  }

  drawDots(pen, heights, level) {
    const { x, flags } = this.data, rows = [];
    for (let row = 0; row < x.length; row++) if (flags[row] && !Number.isNaN(heights[row])) rows.push(row);
    const radius = rows.length > 800 ? 2 : 3.2;
    pen.beginPath();
    for (const row of rows) {
      const across = this.place(x[row]), down = level(heights[row]);
      pen.moveTo(across + radius, down);
      pen.arc(across, down, radius, 0, 2 * Math.PI);
    }
    pen.strokeStyle = this.colors.ring;
    pen.lineWidth = 1.2;
    pen.stroke();
    pen.fillStyle = this.colors.flagged;
    pen.fill();
    return rows.length;
  }

  drawLegend() {
    const { bands, flagged } = this.data;
    const shown = LEGEND.filter(([name]) => (name in bands ? bands[name].length : name !== "flagged" || flagged));
    const key = JSON.stringify([shown, this.colors.value]);
    if (key === this.legend) return;
    this.legend = key;
    this.find(".legend").replaceChildren(...shown.map(([name, text, form]) => {
      const entry = document.createElement("span"), sign = document.createElement("i");
      sign.className = form;
      sign.style.background = this.colors[name];
      entry.append(sign, text);
      return entry;
    }));
  }

  drawAbove() {
    const tip = this.find(".tip");
    tip.style.display = "none";
    this.find("button.reset").disabled = this.find("button.left").disabled = this.find("button.right").disabled = !this.zoom;
    if (!this.data || !this.boxes) return;
    const pen = this.prepare(this.above), last = this.boxes.at(-1), [top, bottom] = [TOP, last.top + last.height];
    if (this.drag && !this.drag.pans) {
      pen.fillStyle = `${this.colors.expected}33`;
      pen.fillRect(this.drag.from, top, this.drag.to - this.drag.from, bottom - top);
    }
    if (this.hover == null || this.hover < LEFT || this.hover > LEFT + this.width) return;
    const row = nearest(this.data.x, this.timeAt(this.hover)), across = this.place(this.data.x[row]);
    if (across < LEFT - 1 || across > LEFT + this.width + 1) return;
    pen.strokeStyle = this.colors.text;
    pen.setLineDash([3, 3]);
    pen.beginPath();
    pen.moveTo(across, top);
    pen.lineTo(across, bottom);
    pen.stroke();
    this.fillTip(tip, row);
    tip.style.display = "block";
    const beside = across + 14 + tip.offsetWidth < LEFT + this.width ? across + 14 : across - 14 - tip.offsetWidth;
    Object.assign(tip.style, { left: `${Math.max(beside, 0)}px`, top: `${TOP + 8}px` });
  }

  fillTip(tip, row) {
    const { x, flags, panels, dates, bands } = this.data, table = document.createElement("table"), add = (name, text) => {
      const line = table.insertRow();
      line.insertCell().textContent = name;
      line.insertCell().textContent = text;
    };
    const title = document.createElement("b");
    title.textContent = dates ? written(x[row]) + this.data.zone : `point ${x[row].toLocaleString("en-US")}`;
    for (const { name, kind, line, companion } of panels) {
      add(name, number(line[row]));
      add(kind === "value" ? "expected" : "threshold", number(companion[row]));
    }
    const trains = bands.training.some(([from, to]) => x[row] >= from && x[row] <= to);
    if (flags[row] || trains) add(flags[row] ? "flagged" : "training part", "");
    tip.replaceChildren(title, table);
  }
}
