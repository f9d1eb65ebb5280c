// Show numbers: coloured cells, bars and text.

const REJECT = "not a digit"; // a class of this name means that a drawing is none of the others

/** Return a colour from the style sheet, for the current mode, light or dark. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/**
 * Paint numbers as cells, row by row: the larger the absolute value, the stronger the colour.
 *
 * `limit` is the absolute value with the strongest colour. `cell` is the size of a cell in points of the canvas, `gap`
 * the space between two. `positive` and `negative` name the colours of numbers above and below 0, `base` that of cells.
 */
function paint(
  canvas, values, { columns, limit, cell = 1, gap = 0, positive = "--for", negative = "--against", base }
) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  const colours = [colour(positive), colour(negative)];
  const paper = base && colour(base);
  values.forEach((value, i) => {
    const at = [(i % columns) * cell + gap / 2, Math.floor(i / columns) * cell + gap / 2, cell - gap, cell - gap];
    if (paper) {
      context.fillStyle = paper;
      context.fillRect(...at);
    }
    context.globalAlpha = Math.min(1, Math.abs(value) / limit);
    context.fillStyle = colours[value < 0 ? 1 : 0];
    context.fillRect(...at);
    context.globalAlpha = 1;
  });
}

/** Return the largest absolute value; never 0, as it is a divisor. */
function largest(values) {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-12);
}

const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`; // no line break before the sign
const wholePercent = (share) => `${Math.floor(100 * share)}\u00a0%`; // never 100 % for less

/** Return a probability as text, never as 0 % or 100 %, which a softmax cannot give. */
function roughly(share) {
  if (share > 0.9995) return "over 99.9\u00a0%";
  return share < 0.0005 ? "below 0.1\u00a0%" : percent(share);
}

/** Make a row with label, bar and number for each class; return a function that shows probabilities. */
function makeBars(list, labels) {
  const short = labels.filter((label) => label !== REJECT);
  list.style.setProperty("--label", `${Math.max(...short.map((label) => label.length))}ch`);
  const rows = labels.map((label) => {
    const row = document.createElement("li");
    row.classList.toggle("reject", label === REJECT); // a row of its own, as its label is long
    for (const [name, text] of [["label", label], ["bar", ""], ["figure", ""]]) {
      const part = document.createElement("span");
      part.className = name;
      part.textContent = text;
      row.append(part);
    }
    list.append(row);
    return row;
  });
  return (probabilities, winner) => {
    rows.forEach((row, i) => {
      const share = probabilities ? probabilities[i] : 0;
      row.classList.toggle("winner", i === winner);
      row.children[1].style.setProperty("--share", share);
      row.children[2].textContent = probabilities ? percent(share) : "";
    });
  };
}

/**
 * The neurons of a dense layer as cells of a canvas; pointer, finger or arrow keys choose one.
 *
 * For a screen reader, it is a slider over the neurons, each with its value as text.
 */
class Grid {
  /**
   * Take the canvas, the layer's name, its number of neurons, their names, and functions to call with a neuron: when it is
   * pointed at, chosen with keys, and kept, with a click or a key; and one for the end of pointing.
   */
  constructor(canvas, name, size, labels, { point, choose, keep, leave }) {
    Object.assign(this, { canvas, name, size, labels, point, choose, keep, leave, chosen: null, values: [] });
    this.columns = size <= 128 ? Math.min(16, size) : Math.ceil(Math.sqrt(2 * size));
    this.cell = Math.max(8, Math.min(48, Math.floor(1600 / this.columns)));
    canvas.width = this.columns * this.cell;
    canvas.height = Math.ceil(size / this.columns) * this.cell;
    canvas.style.setProperty("--share", this.columns / Math.max(16, this.columns));
    this.describe();
    this.listen();
  }

  describe() {
    const attributes = { tabindex: 0, role: "slider", "aria-label": this.name, "aria-valuemin": 1 };
    for (const [key, value] of Object.entries(attributes)) this.canvas.setAttribute(key, value);
    this.canvas.setAttribute("aria-valuemax", this.size);
  }

  listen() {
    const { canvas } = this;
    for (const [kind, act] of [["pointerdown", this.point], ["pointermove", this.point], ["click", this.keep]]) {
      canvas.addEventListener(kind, (event) => {
        const neuron = this.at(event.offsetX / canvas.clientWidth, event.offsetY / canvas.clientHeight);
        if (neuron !== null) act(neuron);
      });
    }
    canvas.addEventListener("focus", () => this.point(this.chosen ?? 0));
    for (const kind of ["pointerleave", "blur"]) canvas.addEventListener(kind, this.leave);
    canvas.addEventListener("keydown", (event) => {
      const now = this.chosen ?? 0;
      const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns };
      const isKeep = event.key === "Enter" || event.key === " ";
      const next = isKeep ? now : ({ Home: 0, End: this.size - 1 }[event.key] ?? now + steps[event.key]);
      if (Number.isNaN(next)) return;
      event.preventDefault();
      if (next >= 0 && next < this.size) (isKeep ? this.keep : this.choose)(next);
    });
  }

  /** Return the neuron at a position, given as fractions of width and height; null if there is none. */
  at(right, down) {
    const row = Math.floor((down * this.canvas.height) / this.cell);
    const column = Math.min(this.columns - 1, Math.max(0, Math.floor(right * this.columns)));
    const neuron = row * this.columns + column;
    return neuron >= 0 && neuron < this.size ? neuron : null;
  }

  /** Return the middle of a cell's edge as fractions of width and height; `down` is 0 for the upper edge, 1 for the lower. */
  placeOf(neuron, down) {
    const row = Math.floor(neuron / this.columns) + down;
    return [((neuron % this.columns) + 0.5) / this.columns, (row * this.cell) / this.canvas.height];
  }

  /** Return the name of a neuron. */
  title(neuron) {
    return this.labels ? `${this.name}, class ${this.labels[neuron]}` : `${this.name}, neuron ${neuron + 1}`;
  }

  /** Show the values of all neurons, or none for null, with a frame around the chosen one; a cross is on those off. */
  show(values, chosen, on = []) {
    Object.assign(this, { values: values ?? new Float32Array(this.size), chosen });
    const { canvas, columns, cell } = this;
    const gap = cell >= 16 ? cell / 8 : 1;
    const limit = this.labels ? 1 : largest(this.values); // classes have probabilities
    paint(canvas, this.values, { columns, limit, cell, gap, base: "--cell" });
    if (this.labels) this.write();
    on.forEach((isOn, neuron) => isOn || this.cross(neuron));
    if (chosen !== null) this.frame(chosen);
    const spoken = chosen ?? 0;
    canvas.setAttribute("aria-valuenow", spoken + 1);
    canvas.setAttribute("aria-valuetext", this.title(spoken) + (values ? `: ${values[spoken].toFixed(2)}` : ""));
  }

  cross(neuron) {
    const context = this.canvas.getContext("2d"), { cell } = this;
    const x = (neuron % this.columns) * cell, y = Math.floor(neuron / this.columns) * cell;
    Object.assign(context, { strokeStyle: colour("--against"), lineWidth: Math.max(2, cell / 8) });
    context.beginPath();
    for (const [from, to] of [[0.25, 0.75], [0.75, 0.25]]) {
      context.moveTo(x + from * cell, y + 0.25 * cell);
      context.lineTo(x + to * cell, y + 0.75 * cell);
    }
    context.stroke();
  }

  frame(neuron) {
    const context = this.canvas.getContext("2d");
    const line = Math.max(2, this.cell / 12);
    context.strokeStyle = colour("--text");
    context.lineWidth = line;
    const x = (neuron % this.columns) * this.cell, y = Math.floor(neuron / this.columns) * this.cell;
    context.strokeRect(x + line / 2, y + line / 2, this.cell - line, this.cell - line);
  }

  write() {
    const context = this.canvas.getContext("2d");
    Object.assign(context, { font: `${this.cell * 0.45}px sans-serif`, textAlign: "center", textBaseline: "middle" });
    this.labels.forEach((name, i) => {
      const label = name === REJECT ? "?" : name;
      context.fillStyle = colour(this.values[i] > 0.5 ? "--card" : "--text"); // readable on a bright cell too
      const x = ((i % this.columns) + 0.5) * this.cell, y = (Math.floor(i / this.columns) + 0.54) * this.cell;
      if (context.measureText(label).width < this.cell) context.fillText(label, x, y);
    });
  }
}
