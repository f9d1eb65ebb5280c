// Moment normalisation: the arithmetic of moment_norm_uint8 in fastdigits/_reference.py, with the same results.

const nearest = (value) => Math.floor(value + 0.5);
const limited = (value, low, high) => Math.min(Math.max(value, low), high);

/** Write an image of bytes, row by row, deslanted, centred and scaled by its moments. */
function normalizeByMoments(y, x, { height, width, sigma_y, sigma_x }) {
  const middle = [height >> 1, width >> 1];
  let m = 0, mr = 0, mc = 0, mrr = 0, mrc = 0, mcc = 0;
  x.forEach((p, i) => {
    const r = Math.floor(i / width) - middle[0], c = (i % width) - middle[1];
    m += p;
    mr += r * p;
    mc += c * p;
    mrr += r * r * p;
    mrc += r * c * p;
    mcc += c * c * p;
  });
  if (m === 0) return y.set(x);
  const variance = (a, b) => nearest((1024 * (m * a - b)) / (m * m));
  const vrr = variance(mrr, mr * mr), vrc = variance(mrc, mr * mc), vcc = variance(mcc, mc * mc);
  const slant = vrr > 0 ? limited(nearest((4096 * vrc) / vrr), -4096, 4096) / 4096 : 0;
  const across = vcc - slant * (2 * vrc - slant * vrr);
  const size = (v, sigma) => nearest(65536 * Math.sqrt(Math.sqrt(limited(v / (1024 * sigma * sigma), 1 / 16, 16))));
  const high = size(vrr, sigma_y), wide = size(across, sigma_x);
  const row = nearest((65536 * mr) / m) + 65536 * middle[0], column = nearest((65536 * mc) / m) + 65536 * middle[1];
  const at = (i, j) => (i < 0 || i >= height || j < 0 || j >= width ? 0 : x[i * width + j]);
  for (let i = 0; i < height; i++) {
    const down = high * (i - (height - 1) / 2);
    const v = Math.floor((nearest(row + down) + 128) / 256), top = Math.floor(v / 256), below = v - 256 * top;
    const start = nearest(column + slant * down - wide * ((width - 1) / 2)) + 128;
    for (let j = 0; j < width; j++) {
      const u = Math.floor((start + j * wide) / 256), left = Math.floor(u / 256), right = u - 256 * left;
      const before = at(top, left) * (256 - below) + at(top + 1, left) * below;
      const after = at(top, left + 1) * (256 - below) + at(top + 1, left + 1) * below;
      y[i * width + j] = nearest((before * (256 - right) + after * right) / 65536);
    }
  }
}
