// Learning: loss, gradients, optimizers and the loop over batches, as in fastdigits/training and optim.
//
// One step: forward, the loss and its gradient, backward, update. Nothing here knows the page.

/**
 * Return the loss of n rows of logits, the number of right answers, and dlogits.
 *
 * The loss is the mean over the rows of -log softmax(logits)[label]; dlogits = (softmax(logits) - one-hot label) / n.
 * Only here does the batch divide.
 */
function crossEntropy(logits, labels) {
  const n = labels.length, classes = logits.length / n;
  const dlogits = new Float32Array(logits.length);
  let loss = 0, correct = 0;
  labels.forEach((label, row) => {
    const start = row * classes;
    let largest = start;
    for (let j = start; j < start + classes; j++) if (logits[j] > logits[largest]) largest = j;
    let sum = 0;
    for (let j = start; j < start + classes; j++) sum += Math.exp(logits[j] - logits[largest]);
    for (let j = start; j < start + classes; j++) dlogits[j] = Math.exp(logits[j] - logits[largest]) / sum / n;
    dlogits[start + label] -= 1 / n;
    loss += (logits[largest] - logits[start + label] + Math.log(sum)) / n;
    if (largest === start + label) correct++;
  });
  return { loss, correct, dlogits };
}

/** Return the gradients of each layer's parameters, {weight, bias} or {gamma, beta}, from the values of a forward. */
function backward(layers, values, dlogits, n) {
  const first = layers.findIndex(({ kind }) => KINDS[kind].parameters); // nothing before it learns
  const gradients = layers.map(() => ({}));
  let dy = dlogits;
  for (let i = layers.length - 1; i >= first; i--) {
    const kind = KINDS[layers[i].kind];
    if (kind.parameters) gradients[i] = kind.gradients(layers[i], dy, values[i], n);
    if (i > first) dy = kind.backward(layers[i], dy, values[i], values[i + 1], n, true);
  }
  return gradients;
}

// Each updates the value of a parameter in place from its gradient and the optimizer's state of it: arrays that begin
// with zeros. `lr` is the learning rate, here with its default, and t the number of the update, from 1.
const EPS = 1e-8; // added outside the square root; prevents 0 / 0
const OPTIMIZERS = {
  SGD: {
    lr: 0.1,
    states: 0,
    update(value, grad, [], lr) {
      for (let i = 0; i < value.length; i++) value[i] -= lr * grad[i];
    },
  },
  Momentum: {
    lr: 0.02,
    states: 1,
    update(value, grad, [velocity], lr) {
      for (let i = 0; i < value.length; i++) {
        velocity[i] = 0.9 * velocity[i] + grad[i];
        value[i] -= lr * velocity[i];
      }
    },
  },
  RMSprop: {
    lr: 0.001,
    states: 1,
    update(value, grad, [square], lr) {
      for (let i = 0; i < value.length; i++) {
        square[i] = 0.9 * square[i] + (1 - 0.9) * grad[i] * grad[i];
        value[i] -= (lr * grad[i]) / (Math.sqrt(square[i]) + EPS);
      }
    },
  },
  Adam: {
    lr: 0.003,
    states: 2,
    update(value, grad, [m, v], lr, t) {
      const fix1 = 1 - 0.9 ** t, fix2 = 1 - 0.999 ** t; // for the zeros that m and v begin with
      for (let i = 0; i < value.length; i++) {
        m[i] = 0.9 * m[i] + (1 - 0.9) * grad[i];
        v[i] = 0.999 * v[i] + (1 - 0.999) * grad[i] * grad[i];
        value[i] -= (lr * (m[i] / fix1)) / (Math.sqrt(v[i] / fix2) + EPS);
      }
    },
  },
};

/** Return a function that gives uniform random numbers in [0, 1), the same ones for the same seed: mulberry32. */
function randomNumbers(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Return layers like these that have learned nothing: He's normal weights, zeros, and ones for gamma and variance. */
function freshLayers(layers, random) {
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()); // Box and Muller
  const fresh = copyLayers(layers);
  for (const { weight, bias, gamma, beta, running_mean, running_var } of fresh) {
    for (const zeros of [bias, beta, running_mean]) zeros?.fill(0);
    for (const ones of [gamma, running_var]) ones?.fill(1);
    const deviation = weight && Math.sqrt((2 * bias.length) / weight.length); // √(2 / inputs)
    weight?.forEach((_, i) => (weight[i] = deviation * normal()));
  }
  return fresh;
}

/** Return the small network of this project, with fresh weights: 784-64-32-10, for any image and number of classes. */
function smallLayers(width, classes, random) {
  const floats = (size) => new Float32Array(size);
  const dense = (inputs, outputs) => ({ kind: "dense", weight: floats(inputs * outputs), bias: floats(outputs) });
  const statistics = { gamma: floats(64), beta: floats(64), running_mean: floats(64), running_var: floats(64) };
  const batchnorm = { kind: "batchnorm", eps: 1e-5, momentum: 0.1, ...statistics };
  const relu = { kind: "relu", slope: 0 };
  const layers = [dense(width, 64), batchnorm, relu, dense(64, 32), relu, dense(32, classes), { kind: "softmax" }];
  return freshLayers(layers, random);
}

/** Labelled images: {pixels: bytes, one image after another; labels; width: pixels of an image}. */
class Images {
  constructor(width, pixels = new Uint8Array(0), labels = []) {
    Object.assign(this, { width, pixels, labels: [...labels] });
  }

  get count() {
    return this.labels.length;
  }

  /** Return these images and others as one. */
  with({ pixels, labels }) {
    const both = new Uint8Array(this.pixels.length + pixels.length);
    both.set(this.pixels);
    both.set(pixels, this.pixels.length);
    return new Images(this.width, both, [...this.labels, ...labels]);
  }

  /** Return some images as the network's input, {x, labels}: pixels / 255. */
  batch(indices) {
    const { width } = this, x = new Float32Array(indices.length * width);
    indices.forEach((index, row) => {
      for (let i = 0; i < width; i++) x[row * width + i] = this.pixels[index * width + i] / 255;
    });
    return { x, labels: indices.map((index) => this.labels[index]) };
  }
}

/** Cut a list into batches; a last batch of one image joins the batch before it, as one image has no variance. */
function batches(indices, size) {
  const parts = [];
  for (let i = 0; i < indices.length; i += size) parts.push(indices.slice(i, i + size));
  if (parts.length > 1 && parts.at(-1).length === 1) parts.at(-2).push(...parts.pop());
  return parts;
}

/** Return 0 … n - 1 in random order: Fisher and Yates. */
function shuffled(n, random) {
  const order = [...Array(n).keys()];
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** A network in training. Its layers change with each step; a last softmax belongs to the loss. */
class Learner {
  constructor(layers) {
    this.layers = copyLayers(layers);
    this.logits = this.layers.slice(0, -1); // the same objects, without the softmax
    this.states = new Map(); // of the optimizer: {t, arrays} for each parameter
    this.name = null; // of the optimizer
  }

  /** Return the loss of a batch, the number of right answers, and the gradients by layer. */
  gradients({ x, labels }) {
    const n = labels.length;
    const values = forward(this.logits, x, n, true);
    const { loss, correct, dlogits } = crossEntropy(values.at(-1), labels);
    return { loss, correct, gradients: backward(this.logits, values, dlogits, n) };
  }

  /** Make one step; a change of the optimizer begins with a new state. */
  step(batch, name, lr) {
    if (name !== this.name) this.states.clear();
    this.name = name;
    const result = this.gradients(batch);
    result.gradients.forEach((gradients, i) => {
      for (const [parameter, grad] of Object.entries(gradients)) this.update(this.logits[i][parameter], grad, lr);
    });
    return result;
  }

  update(value, grad, lr) {
    const { states, update } = OPTIMIZERS[this.name];
    if (!this.states.has(value)) {
      this.states.set(value, { t: 0, arrays: Array.from({ length: states }, () => new Float32Array(value.length)) });
    }
    const state = this.states.get(value);
    update(value, grad, state.arrays, lr, ++state.t);
  }

  /** Return the logits of a batch in evaluation. */
  evaluate({ x, labels }) {
    return forward(this.logits, x, labels.length).at(-1);
  }
}

/**
 * Train without end, one step for each value asked for: {kind: "step", …}, and after an epoch {kind: "epoch", …} with
 * loss and accuracy, in training (running means over the epoch) and on the held-out images.
 *
 * `options()` returns the current {images, heldOut, optimizer, lr, batchSize}; images count from the next epoch on,
 * the rest from the next step on.
 */
function* training(learner, options, random) {
  for (let epoch = 1; ; epoch++) {
    const { images, heldOut, batchSize } = options();
    const total = { loss: 0, correct: 0 };
    for (const indices of batches(shuffled(images.count, random), batchSize)) {
      const { optimizer, lr } = options();
      const { loss, correct } = learner.step(images.batch(indices), optimizer, lr);
      total.loss += loss * indices.length;
      total.correct += correct;
      yield { kind: "step", loss };
    }
    const held = yield* scored(learner, heldOut);
    yield { kind: "epoch", epoch, loss: total.loss / images.count, accuracy: total.correct / images.count, held };
  }
}

/** Return loss and accuracy on images in evaluation, null if there are none; yields between batches. */
function* scored(learner, images) {
  const total = { loss: 0, accuracy: 0 };
  for (const indices of batches([...Array(images.count).keys()], 64)) {
    const batch = images.batch(indices);
    const { loss, correct } = crossEntropy(learner.evaluate(batch), batch.labels);
    total.loss += (loss * indices.length) / images.count;
    total.accuracy += correct / images.count;
    yield { kind: "score" };
  }
  return images.count ? total : null;
}
