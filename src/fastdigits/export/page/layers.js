// The layers: the same arithmetic as in Python, fastdigits/_reference.py.
//
// A batch of n images is an array of n rows, one after another. Each kind of layer has a forward step, y from x, and a
// backward step, dx from dy; `dy` means the gradient of the loss with respect to y. A kind with parameters also has
// `gradients`, those of the loss with respect to its parameters. A step in training may use the other images of the
// batch; in evaluation the result for an image depends on that image alone.
//
// Values between layers are float32, as in Python; sums are computed in float64 and rounded once, which is at least as
// exact.

const KINDS = {
  // y = x · weight + bias; the weight is (inputs, outputs), row by row
  dense: {
    parameters: ["weight", "bias"],
    forward({ weight, bias }, x, n) {
      const outputs = bias.length, inputs = weight.length / outputs;
      const y = new Float32Array(n * outputs);
      const sums = new Float64Array(outputs);
      for (let row = 0; row < n; row++) {
        sums.set(bias);
        for (let i = 0; i < inputs; i++) {
          const value = x[row * inputs + i];
          if (value === 0) continue; // most pixels are 0
          for (let j = 0, k = i * outputs; j < outputs; j++, k++) sums[j] += value * weight[k];
        }
        y.set(sums, row * outputs);
      }
      return y;
    },
    // dx = dy · weight transposed
    backward({ weight, bias }, dy, x, y, n) {
      const outputs = bias.length, inputs = weight.length / outputs;
      const dx = new Float32Array(n * inputs);
      for (let row = 0; row < n; row++) {
        for (let i = 0, k = 0; i < inputs; i++) {
          let sum = 0;
          for (let j = row * outputs; j < (row + 1) * outputs; j++, k++) sum += dy[j] * weight[k];
          dx[row * inputs + i] = sum;
        }
      }
      return dx;
    },
    // dweight = x transposed · dy; dbias = Σ dy over the rows
    gradients({ weight, bias }, dy, x, n) {
      const outputs = bias.length, inputs = weight.length / outputs;
      const dweight = new Float32Array(weight.length);
      for (let row = 0; row < n; row++) {
        for (let i = 0; i < inputs; i++) {
          const value = x[row * inputs + i];
          if (value === 0) continue;
          for (let j = row * outputs, k = i * outputs; k < (i + 1) * outputs; j++, k++) dweight[k] += value * dy[j];
        }
      }
      return { weight: dweight, bias: Float32Array.from(columnSums(n, outputs, (i) => dy[i])) };
    },
  },

  // y = the images, normalised; x are bytes / 255, and y too. It comes first, and nothing of it learns
  momentnorm: {
    forward(layer, x, n) {
      const y = new Float32Array(x.length), d = x.length / n;
      for (let i = 0; i < x.length; i += d) {
        normalizeByMoments(y.subarray(i, i + d), x.subarray(i, i + d).map((value) => Math.round(255 * value)), layer);
      }
      return y.map((value) => value / 255);
    },
  },

  // y = (x - mean) / √var, for each feature; nothing of it learns
  standardize: {
    forward: ({ mean, var: variance }, x) =>
      x.map((value, i) => (value - mean[i % mean.length]) / Math.sqrt(variance[i % mean.length])),
    backward: ({ var: variance }, dy) => dy.map((value, i) => value / Math.sqrt(variance[i % variance.length])),
  },

  // y = gamma · (x - mean) / √(var + eps) + beta, for each feature
  batchnorm: {
    parameters: ["gamma", "beta"],
    // In training, mean and variance are those of the batch, and the running ones move towards them.
    forward(layer, x, n, training) {
      if (training && n < 2) throw new RangeError(`batch normalisation learns from batches of 2 or more images; got ${n}`);
      const { mean, variance, scale } = training ? statistics(layer, x, n) : running(layer);
      if (training) follow(layer, mean, variance, n);
      const { gamma, beta } = layer, d = gamma.length;
      return x.map((value, i) => gamma[i % d] * (value - mean[i % d]) * scale[i % d] + beta[i % d]);
    },
    // In training: dx = gamma / √(var + eps) · (dy - dbeta / n - x_hat · dgamma / n)
    backward(layer, dy, x, y, n, training) {
      const { gamma } = layer, d = gamma.length;
      if (!training) {
        const { scale } = running(layer);
        return dy.map((value, i) => value * gamma[i % d] * scale[i % d]);
      }
      const { mean, scale } = statistics(layer, x, n);
      const { gamma: dgamma, beta: dbeta } = this.gradients(layer, dy, x, n);
      return dy.map((value, i) => {
        const j = i % d, xHat = (x[i] - mean[j]) * scale[j];
        return gamma[j] * scale[j] * (value - dbeta[j] / n - (xHat * dgamma[j]) / n);
      });
    },
    // dgamma = Σ dy · x_hat; dbeta = Σ dy, over the rows
    gradients(layer, dy, x, n) {
      const { mean, scale } = statistics(layer, x, n), d = mean.length;
      const dgamma = columnSums(n, d, (i, j) => dy[i] * (x[i] - mean[j]) * scale[j]);
      const dbeta = columnSums(n, d, (i) => dy[i]);
      return { gamma: Float32Array.from(dgamma), beta: Float32Array.from(dbeta) };
    },
  },

  // y = x where x > 0, else slope · x; ReLU has the slope 0
  relu: {
    forward: ({ slope }, x) => x.map((value) => (value > 0 ? value : slope * value)),
    backward: ({ slope }, dy, x) => dy.map((value, i) => (x[i] > 0 ? value : slope * value)),
  },

  // y = e^x / Σ e^x, row by row; subtracting the largest x first keeps e^x finite
  softmax: {
    forward(_, x, n) {
      const y = new Float32Array(x.length), classes = x.length / n;
      for (let row = 0; row < x.length; row += classes) {
        const logits = x.subarray(row, row + classes);
        const largest = logits.reduce((a, b) => Math.max(a, b));
        const powers = Float64Array.from(logits, (value) => Math.exp(value - largest));
        const sum = powers.reduce((a, b) => a + b);
        powers.forEach((power, j) => (y[row + j] = power / sum));
      }
      return y;
    },
    // dx = y · (dy - Σ dy · y), row by row
    backward(_, dy, x, y, n) {
      const dx = new Float32Array(x.length), classes = x.length / n;
      for (let row = 0; row < x.length; row += classes) {
        let mean = 0;
        for (let i = row; i < row + classes; i++) mean += dy[i] * y[i];
        for (let i = row; i < row + classes; i++) dx[i] = y[i] * (dy[i] - mean);
      }
      return dx;
    },
  },

  // y = x · on: neurons are switched off with 0, only in this page
  switches: {
    forward: ({ on }, x) => x.map((value, i) => value * on[i % on.length]),
    backward: ({ on }, dy) => dy.map((value, i) => value * on[i % on.length]),
  },
};

/** Return the sum of value(i, j) over n rows for each column j, in float64; i is the place in the array. */
function columnSums(n, columns, value) {
  const sums = new Float64Array(columns);
  for (let i = 0, row = 0; row < n; row++) {
    for (let j = 0; j < columns; j++, i++) sums[j] += value(i, j);
  }
  return sums;
}

/** Return mean, variance (divided by n) and 1 / √(variance + eps) of each column of a batch. */
function statistics({ gamma, eps }, x, n) {
  const d = gamma.length;
  const mean = columnSums(n, d, (i) => x[i]).map((sum) => sum / n);
  const variance = columnSums(n, d, (i, j) => (x[i] - mean[j]) * (x[i] - mean[j])).map((sum) => sum / n);
  return { mean, variance, scale: variance.map((value) => 1 / Math.sqrt(value + eps)) };
}

/** Return the same of the running statistics. */
function running({ running_mean: mean, running_var: variance, eps }) {
  return { mean, variance, scale: Float64Array.from(variance, (value) => 1 / Math.sqrt(value + eps)) };
}

/** Move the running statistics towards those of a batch; the running variance is the unbiased one, divided by n - 1. */
function follow({ running_mean, running_var, momentum }, mean, variance, n) {
  running_mean.forEach((value, i) => (running_mean[i] += momentum * (mean[i] - value)));
  running_var.forEach((value, i) => (running_var[i] += momentum * ((variance[i] * n) / (n - 1) - value)));
}

/** Return the input of each layer and the output of the last, for n rows. */
function forward(layers, x, n = 1, training = false) {
  const values = [x];
  for (const layer of layers) values.push(KINDS[layer.kind].forward(layer, values.at(-1), n, training));
  return values;
}

/** Return a copy of layers with arrays of their own. */
function copyLayers(layers) {
  return layers.map((layer) =>
    Object.fromEntries(
      Object.entries(layer).map(([name, part]) => [name, ArrayBuffer.isView(part) ? part.slice() : part])
    )
  );
}

/** Return each parameter as {name, parameter, place, value}, such as dense1.weight: the names of Python. */
function parametersOf(layers) {
  return namedLayers(layers).flatMap(({ name, layer, place }) =>
    (KINDS[layer.kind].parameters ?? []).map((parameter) => ({
      name: `${name}.${parameter}`, parameter, place, value: layer[parameter],
    }))
  );
}

/** Return all arrays by name: parameters and running statistics. */
function stateOf(layers) {
  const arrays = namedLayers(layers).flatMap(({ name, layer }) =>
    Object.entries(layer).filter(([, part]) => ArrayBuffer.isView(part)).map(([part, array]) => [`${name}.${part}`, array])
  );
  return Object.fromEntries(arrays);
}

/** Return the layers as {name, layer, place}; each kind is numbered from 1. */
function namedLayers(layers) {
  const counts = {};
  return layers.map((layer, place) => {
    counts[layer.kind] = (counts[layer.kind] ?? 0) + 1;
    return { name: `${layer.kind}${counts[layer.kind]}`, layer, place };
  });
}
