// The training panel: settings, buttons, charts, and the user's own examples. The arithmetic is in learn.js.

const SLICE = 20; // milliseconds of training for each frame, so that the page stays responsive
const REFRESH = 100; // milliseconds between two updates of charts and answer, which take time themselves
const SEED = 0; // a reset begins with the same weights and the same order of images, so that runs can be compared
const DOTS = 500; // losses of single steps in the chart: a training that runs for minutes makes a hundred thousand
const OWN = 10; // how often an example of the user counts in an epoch, so that one among hundreds is learned soon
const RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.02, 0.03, 0.1, 0.3, 1];

/** Return images of the page's JSON, {pixels, labels}, from base64 text of deflated bytes. */
async function unpack({ pixels, labels }, width) {
  const stream = new Blob([decode(pixels)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Images(width, new Uint8Array(await new Response(stream).arrayBuffer()), labels);
}

class TrainingPanel {
  /**
   * Take the page's data and layers; `drawing()` returns the pixels of the digit on the pad, null if there is none;
   * `read(layers)` makes the page read with them, or for null with those of the file; `say` is for screen readers.
   */
  constructor(data, layers, { drawing, read, say }) {
    Object.assign(this, { data, layers, drawing, read, say });
    const width = data.side ** 2;
    this.given = { training: new Images(width), heldOut: new Images(width) }; // inside the file
    this.own = []; // examples of the user: {pixels, label, item}
    this.images = this.given.training; // all to learn from
    this.isRunning = false;
    this.part = (id) => document.getElementById(id);
    this.charts = [new Chart(this.part("loss"), null), new Chart(this.part("accuracy"), 1)];
    this.fill();
    this.listen();
    this.reset();
    if (data.lesson) this.load(data.lesson, width);
  }

  async load({ training, heldOut }, width) {
    try {
      this.given = { training: await unpack(training, width), heldOut: await unpack(heldOut, width) };
    } catch {
      this.tell("This browser cannot unpack the images in the file; it can learn from your drawings alone.");
    }
    this.gather();
  }

  fill() {
    const { part } = this;
    const add = (list, values) => list.append(...values.map((value) => new Option(value, value)));
    add(part("optimizer"), Object.keys(OPTIMIZERS));
    add(part("rate"), RATES);
    add(part("batch"), [8, 16, 32, 64, 128]);
    part("optimizer").value = "Adam";
    part("batch").value = 32;
    this.suggestRate();
    this.data.labels.forEach((label, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.setAttribute("aria-label", `add the drawing as ${label}`);
      button.addEventListener("click", () => this.add(i));
      part("teach").append(button);
    });
  }

  listen() {
    const { part } = this;
    part("optimizer").addEventListener("change", () => this.suggestRate());
    part("run").addEventListener("click", () => (this.isRunning ? this.pause() : this.run()));
    part("step").addEventListener("click", () => this.step());
    part("restart").addEventListener("click", () => this.reset());
    part("start").addEventListener("change", () => this.reset());
    for (const id of ["original", "trained"]) part(id).addEventListener("change", () => this.show());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(part("loss"));
  }

  /** Choose the learning rate that suits the optimizer. */
  suggestRate() {
    this.part("rate").value = OPTIMIZERS[this.part("optimizer").value].lr;
  }

  /** Return the current settings, with all images to learn from. */
  options() {
    const { part, images, given } = this;
    return {
      images,
      heldOut: given.heldOut,
      optimizer: part("optimizer").value,
      lr: Number(part("rate").value),
      batchSize: Number(part("batch").value),
    };
  }

  /** Put the images of the file and the user's examples together. */
  gather() {
    const { given, own } = this, width = this.data.side ** 2;
    const repeated = own.flatMap((example) => Array(OWN).fill(example));
    const pixels = new Uint8Array(repeated.length * width);
    repeated.forEach((example, i) => pixels.set(example.pixels, i * width));
    this.images = given.training.with({ pixels, labels: repeated.map(({ label }) => label) });
    this.describe();
  }

  // -- training

  reset() {
    this.isRunning = false;
    const random = randomNumbers(SEED);
    const { side, labels } = this.data;
    const begin = {
      small: () => smallLayers(side ** 2, labels.length, random),
      fresh: () => freshLayers(this.layers, random),
      file: () => this.layers,
    };
    this.learner = new Learner(begin[this.part("start").value]());
    this.course = training(this.learner, () => this.options(), random);
    this.epochs = []; // {loss, accuracy, held}
    this.steps = []; // {at: epochs so far, loss}
    this.tell("");
    this.choose("original");
    this.describe();
  }

  run() {
    if (!this.begin()) return;
    this.isRunning = true;
    this.describe();
    requestAnimationFrame(() => this.slice());
  }

  pause() {
    this.isRunning = false;
    this.describe();
    this.say(this.part("progress").textContent);
  }

  /** Train for the time of a slice, then let the browser draw. */
  slice() {
    if (!this.isRunning) return;
    const end = performance.now() + SLICE;
    do this.advance();
    while (this.isRunning && performance.now() < end);
    if (!this.isRunning || performance.now() > this.described + REFRESH) this.describe();
    if (this.isRunning) requestAnimationFrame(() => this.slice());
  }

  /** Make one step, and what follows it until the next one. */
  step() {
    if (!this.begin()) return;
    this.isRunning = false;
    while (this.advance() !== "step");
    this.describe();
    this.say(this.part("progress").textContent);
  }

  /** Return whether training is possible; if it is, the trained network reads from now on. */
  begin() {
    if (this.images.count === 0) {
      this.tell("Training needs examples: draw, and say what it is.");
      return false;
    }
    if (this.steps.length === 0) this.choose("trained");
    return true;
  }

  /** Do the next piece of work and return its kind. */
  advance() {
    const { kind, ...result } = this.course.next().value;
    if (kind === "step") this.record(result.loss);
    if (kind === "epoch") this.epochs.push(result);
    return kind;
  }

  record(loss) {
    if (!Number.isFinite(loss)) {
      this.isRunning = false;
      this.tell("The loss is no longer finite: choose a lower learning rate, then reset.");
    }
    const size = Math.ceil(this.images.count / this.options().batchSize); // steps of an epoch
    this.steps.push({ at: (this.steps.at(-1)?.at ?? 0) + 1 / size, loss });
  }

  // -- examples of the user

  /** Add the drawing on the pad as an example of a class. */
  add(label) {
    const pixels = this.drawing();
    if (!pixels) return this.tell("Draw on the pad first.");
    const example = { pixels: pixels.slice(), label, item: document.createElement("li") };
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-label", `remove the example of ${this.data.labels[label]}`);
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = this.data.side;
    paint(canvas, example.pixels, { columns: this.data.side, limit: 255, positive: "--lit" });
    button.append(canvas, document.createElement("span"));
    button.addEventListener("click", () => this.remove(example));
    example.item.append(button);
    this.part("own").append(example.item);
    this.own.push(example);
    this.tell("");
    this.gather();
    this.say(`added as ${this.data.labels[label]}, ${this.own.length} examples`);
  }

  remove(example) {
    this.own = this.own.filter((other) => other !== example);
    example.item.remove();
    this.gather();
  }

  /** Write below each example its class, and how the network in training reads it. */
  markExamples() {
    const { labels } = this.data;
    for (const { pixels, label, item } of this.own) {
      const x = Float32Array.from(pixels, (pixel) => pixel / 255);
      const logits = this.learner.evaluate({ x, labels: [label] });
      const found = logits.indexOf(Math.max(...logits));
      const isRight = found === label;
      item.querySelector("span").textContent = isRight ? `${labels[label]} ✓` : `${labels[label]}, read ${labels[found]}`;
      item.classList.toggle("right", isRight);
    }
  }

  // -- what is shown

  tell(text) {
    this.part("told").textContent = text;
  }

  /** Choose who reads, "original" or "trained". */
  choose(id) {
    this.part(id).checked = true;
    this.show();
  }

  /** Make the page read with the chosen network. */
  show() {
    const isTrained = this.part("trained").checked;
    this.read(isTrained ? this.learner.layers : null);
    this.part("reader").hidden = !isTrained;
  }

  describe() {
    this.described = performance.now();
    const { part, epochs, steps, images, own, given } = this;
    part("run").textContent = this.isRunning ? "Pause" : "Start";
    part("material").textContent = `${given.training.count} images of MNIST and ${own.length} of yours`;
    part("held").textContent = given.heldOut.count ? `, tested on ${given.heldOut.count} held out` : "";
    part("owned").textContent = own.length ? `${own.length} of yours; a click removes one` : "none of yours yet";
    part("step").disabled = part("run").disabled = images.count === 0 && !this.isRunning;
    const last = epochs.at(-1);
    const held = last?.held ? `, held out ${percent(last.held.accuracy)}` : "";
    const batch = steps.length ? `step ${steps.length}, loss ${steps.at(-1).loss.toFixed(3)}` : "no step yet";
    part("progress").textContent = last
      ? `Epoch ${epochs.length}: ${percent(last.accuracy)} right${held}; ${batch}`
      : batch;
    this.markExamples();
    this.draw();
    if (part("trained").checked) this.show();
  }

  draw() {
    const { epochs, steps } = this;
    const curve = (name, value, style) => ({
      name, style, points: epochs.map((epoch, i) => [i + 1, value(epoch)]).filter(([, y]) => y !== undefined),
    });
    const every = Math.ceil(steps.length / DOTS);
    const dots = { points: steps.filter((_, i) => i % every === 0).map(({ at, loss }) => [at, loss]), style: "dots" };
    this.charts[0].draw([dots, curve("training", ({ loss }) => loss), curve("held out", ({ held }) => held?.loss, "dashed")]);
    this.charts[1].draw([
      curve("training", ({ accuracy }) => accuracy),
      curve("held out", ({ held }) => held?.accuracy, "dashed"),
    ]);
  }
}
