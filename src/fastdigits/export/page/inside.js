// Look inside: the neurons, the lines between them, and how the answer changes with a weight or without a neuron.

/** Changes of a network's numbers, made by hand, which can be taken back. */
class Changes {
  constructor() {
    this.originals = new Map(); // array: Map of index: original number
  }

  set(array, index, value) {
    if (!this.originals.has(array)) this.originals.set(array, new Map());
    const originals = this.originals.get(array);
    if (!originals.has(index)) originals.set(index, array[index]);
    array[index] = value;
    if (array[index] === originals.get(index)) originals.delete(index);
  }

  /** Return the original number. */
  original(array, index) {
    return this.originals.get(array)?.get(index) ?? array[index];
  }

  get count() {
    return [...this.originals.values()].reduce((sum, { size }) => sum + size, 0);
  }

  reset() {
    for (const [array, originals] of this.originals) {
      for (const [index, value] of originals) array[index] = value;
    }
    this.originals.clear();
  }
}

class Inside {
  /** Take labels and side of an image, the network, and a function to call after a change of it. */
  constructor({ labels, side }, network, onChange) {
    Object.assign(this, { labels, side, network, onChange });
    this.shown = null; // {pixels, values} of the digit whose activations are shown
    this.blank = new Uint8Array(side ** 2);
    this.changes = new Changes();
    this.part = (id) => document.getElementById(id);
    for (const id of ["seen", "weights"]) this.part(id).width = this.part(id).height = side;
    this.picture = new LinePicture(this.part("lines"));
    this.build();
    this.listen();
  }

  /** Make a grid for each layer, with nothing chosen. */
  build() {
    this.chosen = { stage: 0, neuron: 0 }; // the neuron whose weights are shown
    this.isTraced = false; // whether lines lead to the chosen neuron alone: while it is pointed at, or kept
    this.isKept = false;
    this.selected = null; // line: {stage, from, to}
    this.part("layers").replaceChildren();
    this.grids = this.network.stages.map((_, i) => this.makeGrid(i));
    this.part("changes").hidden = this.grids.length === 0;
  }

  makeGrid(i) {
    const { size } = this.network.stages[i];
    const isLast = i === this.network.stages.length - 1;
    const name = isLast ? "Output layer" : `Hidden layer ${i + 1}`;
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = isLast ? `${name}: ${size} classes` : `${name}: ${size} neurons`;
    const canvas = document.createElement("canvas");
    figure.append(caption, canvas);
    this.part("layers").append(figure);
    return new Grid(canvas, name, size, isLast ? this.labels : null, {
      point: (neuron) => this.point(i, neuron),
      leave: () => this.leave(),
      choose: (neuron) => this.choose(i, neuron),
      keep: (neuron) => this.keep(i, neuron),
    });
  }

  // -- a neuron is chosen: pointed at, reached with keys, or kept with a click

  point(stage, neuron) {
    if (!this.isKept) this.choose(stage, neuron);
  }

  leave() {
    if (this.isKept) return;
    this.isTraced = false;
    this.draw();
  }

  choose(stage, neuron) {
    this.chosen = { stage, neuron };
    this.isTraced = true;
    this.draw();
  }

  keep(stage, neuron) {
    const isSame = this.chosen.stage === stage && this.chosen.neuron === neuron;
    this.isKept = !(this.isKept && isSame);
    this.choose(stage, neuron);
  }

  // -- what is shown

  /** Show the digit {pixels, values}; null if the pad is empty. */
  show(shown) {
    this.shown = shown;
    this.draw();
  }

  /** Take another network; changes made by hand end. `show` follows, as the values are others, too. */
  use(network) {
    const sizes = ({ stages }) => stages.map(({ size }) => size).join();
    const isAlike = sizes(network) === sizes(this.network);
    this.changes.reset();
    this.network = network;
    if (!isAlike) this.build();
  }

  draw() {
    if (this.grids.length === 0) return this.drawPixels(null); // a network without a dense layer
    const { stage, neuron } = this.chosen;
    this.grids.forEach((grid, i) => {
      const values = this.shown?.values[this.network.stages[i].end + 1] ?? null;
      grid.show(values, i === stage ? neuron : null, this.switches(i)?.on);
    });
    // The weights of the first layer do not depend on the drawing.
    const values = this.shown?.values ?? (stage === 0 ? this.network.run(this.blank) : null);
    const effects = values && this.network.effects(values, this.network.stages[stage].dense, neuron);
    this.drawPixels(effects?.[0] ?? null);
    this.drawLines(this.isTraced && this.shown ? effects : null);
    this.describe();
  }

  /** Show the pixels that the network sees, and the effect of each on the chosen neuron. */
  drawPixels(effects) {
    const { side, shown, isTraced } = this;
    const ink = shown ? shown.values[0] : new Float32Array(0);
    if (isTraced && effects && shown) {
      const parts = ink.map((value, i) => value * effects[i]);
      paint(this.part("seen"), parts, { columns: side, limit: largest(parts), base: "--cell" });
    } else paint(this.part("seen"), ink, { columns: side, limit: 1, positive: "--lit" });
    paint(this.part("weights"), effects ?? [], { columns: side, limit: largest(effects ?? [0]), base: "--cell" });
  }

  /** Show the strongest lines: into all neurons, or those that lead to the chosen one, by their effects on it. */
  drawLines(effects) {
    const { stages, layers } = this.network;
    const count = Number(this.part("count").value);
    const last = effects ? this.chosen.stage : stages.length - 1;
    this.groups = stages.map(({ dense }, stage) => {
      if (!this.shown || stage > last) return [];
      const ofSums = effects && (effects[dense + 1] ?? oneHot(layers[dense].bias.length, this.chosen.neuron));
      const lines = strongestLines(layers[dense], this.shown.values[dense], ofSums, count);
      return lines.map((line) => ({ ...line, stage }));
    });
    const origin = this.picture.canvas.getBoundingClientRect();
    const boxes = [this.part("seen"), ...this.grids.map(({ canvas }) => canvas)].map((canvas) => {
      const { left, top, width, height } = canvas.getBoundingClientRect();
      return { left: left - origin.left, top: top - origin.top, width, height };
    });
    const place = (box, [right, down]) => [box.left + right * box.width, box.top + down * box.height];
    const pixel = (i) => [((i % this.side) + 0.5) / this.side, (Math.floor(i / this.side) + 0.5) / this.side];
    const ends = ({ stage, from, to }) => [
      ...place(boxes[stage], stage === 0 ? pixel(from) : this.grids[stage - 1].placeOf(from, 0.9)),
      ...place(boxes[stage + 1], this.grids[stage].placeOf(to, 0.1)),
    ];
    this.picture.draw(this.groups, ends, this.selected);
  }

  /** Write what is chosen, and what can be changed. */
  describe() {
    const { stage, neuron } = this.chosen, { part, grids, shown } = this;
    const title = grids[stage].title(neuron), isLast = stage === grids.length - 1;
    part("neuron").textContent = this.isKept ? `${title}, kept` : title;
    const value = `${isLast ? "Probability" : "Activation"} ${grids[stage].values[neuron].toFixed(2)}.`;
    part("activation").textContent = shown ? value : "";
    part("meaning").textContent =
      stage === 0
        ? "Its weights: ink on blue raises it, ink on orange lowers it."
        : "Ink through the neurons active now: blue raises it, orange lowers it.";
    part("fitted").textContent =
      this.isTraced && shown
        ? "Blue ink speaks for the chosen neuron, orange ink against it."
        : `Fitted into a box, scaled down and centred, like the training images${this.network.norm.length ? ", then deslanted and scaled by its moments" : ""}.`;
    const isOn = this.switches(stage)?.on[neuron] !== 0;
    part("switch").textContent = `${isOn ? "Switch off" : "Switch on"} ${isLast ? "a hidden neuron" : title.toLowerCase()}`;
    part("switch").disabled = isLast;
    const { count } = this.changes;
    part("reset").disabled = count === 0;
    part("reset").textContent = count === 0 ? "Nothing changed" : `Take back ${count} ${count === 1 ? "change" : "changes"}`;
    this.describeLine();
  }

  describeLine() {
    const { part, selected } = this;
    for (const id of ["slider", "weight"]) part(id).disabled = !selected;
    if (!selected) return this.fill(part("line"), []);
    const [array, index] = this.weightOf(selected);
    // The scale of the slider holds while one drags: it comes from the original.
    const limit = Math.max(1, Math.ceil(3 * Math.abs(this.changes.original(array, index))));
    Object.assign(part("slider"), { min: -limit, max: limit, step: 0.01, value: array[index] });
    if (document.activeElement !== part("weight")) part("weight").value = array[index].toFixed(3);
    this.fill(part("line"), [[selected]]);
  }

  // -- changes

  /** Return the switches of a stage's neurons; undefined for the last one. */
  switches(stage) {
    const layer = this.network.layers[this.network.stages[stage].end];
    return layer.kind === "switches" ? layer : undefined;
  }

  /** Return the array of a line's weight, and the index in it. */
  weightOf({ stage, from, to }) {
    const { weight, bias } = this.network.layers[this.network.stages[stage].dense];
    return [weight, from * bias.length + to];
  }

  change(array, index, value) {
    this.changes.set(array, index, value);
    this.onChange();
  }

  select(line) {
    this.selected = line && { stage: line.stage, from: line.from, to: line.to };
    this.draw();
  }

  /** List lines as options of a select element, a group for each layer. */
  fill(list, groups) {
    if (groups.length < 2 && document.activeElement === list) return; // it is open
    const nothing = document.createElement("option");
    nothing.value = "";
    nothing.textContent = this.shown ? "a line …" : "draw first";
    const parts = groups.filter((lines) => lines.length > 0).map((lines) => {
      const group = document.createElement("optgroup");
      group.label = `into ${this.grids[lines[0].stage].name}`;
      group.append(...lines.map((line) => this.option(line)));
      return group;
    });
    list.replaceChildren(nothing, ...parts);
    const { selected } = this;
    list.value = selected ? [selected.stage, selected.from, selected.to].join() : "";
  }

  option({ stage, from, to }) {
    const option = document.createElement("option");
    option.value = [stage, from, to].join();
    const [array, index] = this.weightOf({ stage, from, to });
    const begin = stage === 0 ? `row ${Math.floor(from / this.side) + 1}, column ${(from % this.side) + 1}` : from + 1;
    const end = this.grids[stage].labels?.[to] ?? to + 1;
    const x = this.shown?.values[this.network.stages[stage].dense][from];
    const product = x === undefined ? "" : ` × ${x.toFixed(2)} = ${(array[index] * x).toFixed(2)}`;
    option.textContent = `${begin} → ${end}: ${array[index].toFixed(2)}${product}`;
    return option;
  }

  listen() {
    const { part } = this;
    part("count").addEventListener("input", () => this.draw());
    part("switch").addEventListener("click", () => {
      const { stage, neuron } = this.chosen, { on } = this.switches(stage);
      this.change(on, neuron, 1 - on[neuron]);
    });
    part("reset").addEventListener("click", () => {
      this.changes.reset();
      this.onChange();
    });
    for (const id of ["slider", "weight"]) {
      part(id).addEventListener("input", () => {
        const value = part(id).valueAsNumber;
        if (Number.isFinite(value)) this.change(...this.weightOf(this.selected), value);
      });
    }
    const list = part("line");
    for (const kind of ["pointerdown", "focus"]) {
      list.addEventListener(kind, () => this.fill(list, this.withSelected()));
    }
    list.addEventListener("change", () => {
      const [stage, from, to] = list.value.split(",").map(Number);
      this.select(list.value === "" ? null : { stage, from, to });
    });
    // A click between the layers selects the line there.
    const section = this.picture.canvas.parentElement;
    section.addEventListener("click", (event) => {
      if (event.target.closest("button, input, select, label, #layers canvas")) return;
      const { left, top } = this.picture.canvas.getBoundingClientRect();
      const line = this.picture.at(event.clientX - left, event.clientY - top, event.pointerType === "mouse" ? 6 : 14);
      if (line) this.select(line);
    });
    new ResizeObserver(() => this.draw()).observe(section);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** Return the lines on the screen, and the selected one if it is not among them. */
  withSelected() {
    const { selected } = this, groups = this.groups ?? [];
    const isThere = ({ stage, from, to }) => stage === selected.stage && from === selected.from && to === selected.to;
    return !selected || groups.flat().some(isThere) ? groups : [...groups, [selected]];
  }
}

/** Return zeros with a 1 at one place. */
function oneHot(size, place) {
  const values = new Float32Array(size);
  values[place] = 1;
  return values;
}
