// The network: the same arithmetic as in Python.
//
// Each kind of layer has a forward step, y from x, and a backward step, dx from dy, as in fastdigits/nn/layers/. Values
// between layers are float32, as in Python; sums are computed in float64 and rounded once, which is at least as exact.

const KINDS = {
  dense: {
    // y = x · weight + bias; the weight is (inputs, outputs), row by row
    forward({ weight, bias }, x) {
      const sums = Float64Array.from(bias);
      for (let i = 0; i < x.length; i++) {
        if (x[i] === 0) continue; // most pixels are 0
        const row = i * sums.length;
        for (let j = 0; j < sums.length; j++) sums[j] += x[i] * weight[row + j];
      }
      return Float32Array.from(sums);
    },
    // dx = dy · weight transposed
    backward({ weight }, dy, x) {
      return x.map((_, i) => {
        let sum = 0;
        for (let j = 0; j < dy.length; j++) sum += dy[j] * weight[i * dy.length + j];
        return sum;
      });
    },
  },

  // batch normalisation that could not be folded into a dense layer: y = (x - mean) · scale + shift
  scale: {
    forward: ({ mean, scale, shift }, x) => x.map((value, i) => (value - mean[i]) * scale[i] + shift[i]),
    backward: ({ scale }, dy) => dy.map((value, i) => value * scale[i]),
  },

  // y = x where x > 0, else slope · x; ReLU has the slope 0
  relu: {
    forward: ({ slope }, x) => x.map((value) => (value > 0 ? value : slope * value)),
    backward: ({ slope }, dy, x) => dy.map((value, i) => (x[i] > 0 ? value : slope * value)),
  },

  // probs = e^x / Σ e^x; subtracting the largest x first keeps e^x finite
  softmax: {
    forward(_, x) {
      const largest = x.reduce((a, b) => Math.max(a, b));
      const powers = Float64Array.from(x, (value) => Math.exp(value - largest));
      const sum = powers.reduce((a, b) => a + b);
      return Float32Array.from(powers, (power) => power / sum);
    },
    // dx = y · (dy - Σ dy · y)
    backward(_, dy, x, y) {
      const mean = dy.reduce((sum, value, i) => sum + value * y[i], 0);
      return dy.map((value, i) => y[i] * (value - mean));
    },
  },
};

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

class Network {
  /** Take the side of the images in pixels and the descriptions of the layers; the last one is a softmax. */
  constructor(side, layers) {
    this.side = side;
    this.layers = layers.map(readLayer);
    this.stages = this.findStages();
  }

  /** Return the input of each layer and the output of the last, for an image of bytes. */
  run(pixels) {
    if (pixels.length !== this.side ** 2) {
      throw new RangeError(`pixels must be ${this.side ** 2} bytes, row by row; got ${pixels.length}`);
    }
    const values = [Float32Array.from(pixels, (pixel) => pixel / 255)];
    for (const layer of this.layers) values.push(KINDS[layer.kind].forward(layer, values.at(-1)));
    return values;
  }

  /** Return the stages: a dense layer and the layers up to the next one; {dense, end} are indices into `layers`. */
  findStages() {
    const places = this.layers.flatMap(({ kind }, i) => (kind === "dense" ? [i] : []));
    return places.map((dense, i) => {
      const end = (places[i + 1] ?? this.layers.length) - 1;
      return { dense, end, size: this.layers[dense].bias.length };
    });
  }

  /**
   * Return the gradient of one neuron's sum with respect to the pixels, for the image of `values`.
   *
   * For the first dense layer, these are its weights. For a later one, a backward step through the layers before it
   * combines their weights; inactive neurons have no effect. A network of dense layers and ReLU is linear as long as
   * the same neurons are active, so the gradient is exact there.
   */
  pixelWeights(values, place, neuron) {
    let dy = new Float32Array(values[place + 1].length);
    dy[neuron] = 1;
    for (let i = place; i >= 0; i--) {
      const layer = this.layers[i];
      dy = KINDS[layer.kind].backward(layer, dy, values[i], values[i + 1]);
    }
    return dy;
  }
}
