// The network that reads: the layers of the file, ready for one image at a time.

/** Decode base64 text to bytes. */
function decode(text) {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

/** Decode a layer from the page's JSON: base64 arrays become float32. */
function readLayer({ kind, numbers, arrays }) {
  const layer = { kind, ...numbers };
  for (const [name, text] of Object.entries(arrays)) layer[name] = new Float32Array(decode(text).buffer);
  return layer;
}

/**
 * Return copies of the layers with batch normalisation folded into the dense layer before it.
 *
 * In evaluation, batch normalisation only scales and shifts, as a dense layer can: weight · scale, and
 * (bias - mean) · scale + beta.
 */
function fold(layers) {
  const folded = [];
  for (const layer of copyLayers(layers)) {
    const before = folded.at(-1);
    if (layer.kind !== "batchnorm" || before?.kind !== "dense") {
      folded.push(layer);
      continue;
    }
    const { mean, scale } = running(layer), { weight, bias } = before, d = bias.length;
    scale.forEach((value, j) => (scale[j] = value * layer.gamma[j]));
    for (let i = 0; i < weight.length; i++) weight[i] *= scale[i % d];
    bias.forEach((value, j) => (bias[j] = (value - mean[j]) * scale[j] + layer.beta[j]));
  }
  return folded;
}

class Network {
  /** Take the side of the images in pixels and the layers; the last one is a softmax. */
  constructor(side, layers) {
    this.side = side;
    const folded = fold(layers);
    this.norm = folded.slice(0, folded[0].kind === "momentnorm" ? 1 : 0); // what comes before the image that is shown
    this.layers = withSwitches(folded.slice(this.norm.length));
    this.stages = findStages(this.layers);
  }

  /** Return the input of each layer behind the normalisation, and the output of the last, for an image of bytes. */
  run(pixels) {
    if (pixels.length !== this.side ** 2) {
      throw new RangeError(`pixels must be ${this.side ** 2} bytes, row by row; got ${pixels.length}`);
    }
    return forward(this.layers, forward(this.norm, Float32Array.from(pixels, (pixel) => pixel / 255)).at(-1));
  }

  /**
   * Return the gradients of one neuron's sum with respect to the input of each layer up to its dense layer, `place`.
   *
   * The first of them is the effect of each pixel. For the first dense layer, these are its weights. For a later one,
   * a backward step through the layers before it combines their weights; inactive neurons have no effect. A network of
   * dense layers and ReLU is linear as long as the same neurons are active, so the gradient is exact there.
   */
  effects(values, place, neuron) {
    let dy = new Float32Array(values[place + 1].length);
    dy[neuron] = 1;
    const gradients = [];
    for (let i = place; i >= 0; i--) {
      const layer = this.layers[i];
      dy = KINDS[layer.kind].backward(layer, dy, values[i], values[i + 1], 1, false);
      gradients[i] = dy;
    }
    return gradients;
  }

  /** Return the effect of each pixel on one neuron's sum. */
  pixelWeights(values, place, neuron) {
    return this.effects(values, place, neuron)[0];
  }
}

/** Return the layers with switches for the neurons of each hidden layer, at the end of its stage. */
function withSwitches(layers) {
  const stages = findStages(layers);
  const ends = new Map(stages.slice(0, -1).map(({ end, size }) => [end, size]));
  return layers.flatMap((layer, i) =>
    ends.has(i) ? [layer, { kind: "switches", on: new Float32Array(ends.get(i)).fill(1) }] : [layer]
  );
}

/** Return the stages: a dense layer and the layers up to the next one; {dense, end} are indices into `layers`. */
function findStages(layers) {
  const places = layers.flatMap(({ kind }, i) => (kind === "dense" ? [i] : []));
  return places.map((dense, i) => ({ dense, end: (places[i + 1] ?? layers.length) - 1, size: layers[dense].bias.length }));
}
