// The page: run the network on the drawing and show all its values.

const data = JSON.parse(document.getElementById("network").textContent);
const layers = data.layers.map(readLayer); // of the file, as in Python
const original = new Network(data.side, layers);
let network = original; // the one that reads
const element = (id) => document.getElementById(id);

const blank = new Uint8Array(data.side ** 2);
const isText = data.labels.every((label) => label.length === 1 || label === REJECT); // else a drawing is one picture
const pad = new Pad(element("pad"), data.side, isText, () => requestUpdate());
const answer = new Answer(data.labels, ({ marks }) => {
  choice = { mark: marks[0], last: pad.marks.at(-1) };
  update();
});
let digits = []; // on the pad, in the order of reading: {marks, box, pixels, values, probabilities}
let shown = null; // the one whose pixels and activations are shown; null if the pad is empty
let choice = null; // of a digit; it holds until another mark is the last one
let isRequested = false;

/** Update before the next frame, once for all events until then. */
function requestUpdate() {
  if (!isRequested) requestAnimationFrame(update);
  isRequested = true;
}

/** Read the pad and show everything. */
function update() {
  isRequested = false;
  digits = pad.digits().map((digit) => {
    const values = network.run(digit.pixels); // of all layers
    return { ...digit, values, probabilities: values.at(-1) };
  });
  const last = pad.marks.at(-1);
  const wanted = choice && choice.last === last ? choice.mark : last;
  shown = digits.find(({ marks }) => marks.includes(wanted)) ?? digits.at(-1) ?? null;
  answer.show(digits, shown);
  inside.show(shown);
}

/** Make a screen reader say a text. It says the answer only after a stroke, as the answer changes continuously. */
function say(text) {
  element("spoken").textContent = text;
}

function sayAnswer(before = "") {
  update();
  say([before, answer.spoken].filter(Boolean).join(", "));
}

// -- inside, and training -----------------------------------------------------------------------------------

const inside = new Inside(data, network, update);

/** Read with other layers, or for null with those of the file. */
function readWith(other) {
  network = other ? new Network(data.side, other) : original;
  inside.use(network);
  update();
}

new TrainingPanel(data, layers, { drawing: () => shown?.pixels ?? null, read: readWith, say });

// -- buttons and keys ---------------------------------------------------------------------------------------

let nextExample = 0;

/** Show the next example; without examples, the button is hidden. */
function showExample() {
  pad.show(decode(data.examples[nextExample]));
  nextExample = (nextExample + 1) % data.examples.length;
}

function choosePen() {
  const { value } = element("pen");
  pad.penWidth = (SIZE * value) / 100;
  element("pen").setAttribute("aria-valuetext", `${value} % of the pad's width`);
  element("cursor").style.setProperty("--pen", `${value}%`);
}

function listen() {
  drawWithPointer(pad, () => sayAnswer());
  const keys = drawWithKeys(pad, element("cursor"), say, sayAnswer);
  const act = (action) => () => {
    keys.lift(); // else the next arrow key would continue a deleted stroke
    action();
    sayAnswer();
  };
  const undo = act(() => pad.undo()), redo = act(() => pad.redo()), clear = act(() => pad.clear());
  element("undo").addEventListener("click", undo);
  element("redo").addEventListener("click", redo);
  element("clear").addEventListener("click", clear);
  element("example").addEventListener("click", act(showExample));
  element("example").hidden = data.examples.length === 0;
  element("pen").addEventListener("input", choosePen);
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input[type='number'], select")) return; // these keys edit the number
    const key = event.ctrlKey || event.metaKey ? event.key.toLowerCase() : "";
    if (key === "y" || (key === "z" && event.shiftKey)) redo();
    else if (key === "z") undo();
    else if (event.key === "Delete" || event.key === "Backspace") clear();
    else return;
    event.preventDefault();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => pad.repaint());
}

/** Describe the network. */
function describe() {
  const sizes = [data.side ** 2, ...original.stages.map(({ size }) => size)];
  const arrays = parametersOf(layers).map(({ value }) => value);
  const count = arrays.reduce((sum, { length }) => sum + length, 0).toLocaleString("en");
  element("about").textContent = `A network of ${sizes.join("-")} with ${count} weights, all of them in this file.`;
  element("credit").textContent = data.credit;
}

describe();
choosePen();
listen();
update();

// -- for other scripts and tests ----------------------------------------------------------------------------

globalThis.fastdigits = {
  /** Return the probabilities, a Float32Array, for side × side bytes, row by row, like predict_proba for uint8. */
  probabilities: (pixels) => network.run(pixels).at(-1),
  /** Return the network's input, side × side bytes, for size × size bytes of ink. */
  prepare: (ink, size) => prepare(ink, size, data.side),
  /** Return the network's input for the digit that is shown. */
  pixels() {
    update();
    return shown?.pixels ?? blank;
  },
  /** Return the gradient of a neuron's sum with respect to the pixels; dense layers and neurons count from 0. */
  pixelWeights: (pixels, layer, neuron) =>
    network.pixelWeights(network.run(pixels), network.stages[layer].dense, neuron),
  /** Return the outputs of a dense layer's neurons for an image, after the activation. */
  activations: (pixels, layer) => network.run(pixels)[network.stages[layer].end + 1],
  /** Return the strongest lines into a dense layer, {from, to, strength}; for a class, those that lead to it. */
  lines(pixels, layer, count, output = null) {
    const values = network.run(pixels), { dense } = network.stages[layer], last = network.stages.at(-1).dense;
    const effects = output === null ? null : network.effects(values, last, output)[dense + 1] ?? oneHot(data.labels.length, output);
    return strongestLines(network.layers[dense], values[dense], effects, count);
  },
  /** Return {loss, gradients} of a batch for the file's weights, in training; names are those of Python. */
  gradients(pixels, labels) {
    const learner = new Learner(layers);
    const { loss, gradients } = learner.gradients(new Images(data.side ** 2, pixels, labels).batch([...labels.keys()]));
    const named = parametersOf(learner.layers).map(({ name, parameter, place }) => [name, gradients[place][parameter]]);
    return { loss, gradients: Object.fromEntries(named) };
  },
  /** Train a copy of the file's network on batches in the order given; return {losses, state}, each array by name. */
  train(pixels, labels, { optimizer, lr, batchSize }) {
    const learner = new Learner(layers), images = new Images(data.side ** 2, pixels, labels);
    const losses = batches([...labels.keys()], batchSize).map(
      (indices) => learner.step(images.batch(indices), optimizer, lr).loss
    );
    return { losses, state: stateOf(learner.layers) };
  },
};
