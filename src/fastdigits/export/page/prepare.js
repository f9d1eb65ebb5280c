// Prepare a drawing in the same way as MNIST's digits.
//
// From Y. LeCun's description of the database: each digit was scaled to fit a box of 20 × 20 pixels with its aspect
// ratio, which turned black and white into grey, and placed in 28 × 28 pixels with its centre of mass in the middle.
// In the data, the longer side of the box is always 20, and the centre of mass is always within the pixel that begins
// at 14: digits were moved by whole pixels.
//
// Ink is one byte for each point of a square pad, row by row: 0 is empty, 255 is covered.

const VISIBLE = 64; // minimum ink of a point in the digit's box, to exclude the soft edge of a line

/** Return the smallest box around all ink, {left, top, width, height}; null if there is none. */
function boxOf(ink, size) {
  let left = size, right = -1, top = size, bottom = -1;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      if (ink[y * size + x] < VISIBLE) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = y;
    }
  }
  return right < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/** Return the part of the ink within a box. */
function cut(ink, size, { left, top, width, height }) {
  const part = new Float64Array(width * height);
  for (let y = 0; y < height; y++) {
    const start = (top + y) * size + left;
    part.set(ink.subarray(start, start + width), y * width);
  }
  return part;
}

/**
 * Scale each row to `count` values, each the average over the area that it covers.
 *
 * The result is transposed, (count, height): a second call scales the columns.
 */
function averageRows(image, width, height, count) {
  const step = width / count;
  const result = new Float64Array(count * height);
  for (let k = 0; k < count; k++) {
    const from = k * step, to = Math.min(width, from + step);
    for (let x = Math.floor(from); x < to; x++) {
      const share = (Math.min(x + 1, to) - Math.max(x, from)) / step;
      for (let y = 0; y < height; y++) result[k * height + y] += share * image[y * width + x];
    }
  }
  return result;
}

/** Return the offset along one side that moves the centre of mass to the middle, with the whole image inside. */
function offset(masses, side) {
  let sum = 0, moment = 0;
  masses.forEach((mass, i) => {
    sum += mass;
    moment += mass * (i + 0.5);
  });
  const wanted = Math.floor(side / 2) - Math.floor(moment / sum);
  return Math.max(0, Math.min(side - masses.length, wanted));
}

/** Return the network's input, side × side bytes, from size × size bytes of ink; all 0 if there is no ink. */
function prepare(ink, size, side) {
  const pixels = new Uint8Array(side * side);
  const box = boxOf(ink, size);
  if (box === null) return pixels;
  const longest = Math.max(1, Math.round((side * 20) / 28)); // other sizes have MNIST's relative margin
  const scale = longest / Math.max(box.width, box.height);
  const width = Math.max(1, Math.round(box.width * scale));
  const height = Math.max(1, Math.round(box.height * scale));
  const narrow = averageRows(cut(ink, size, box), box.width, box.height, width);
  const small = averageRows(narrow, box.height, width, height); // (height, width)

  const columns = new Float64Array(width), rows = new Float64Array(height);
  small.forEach((value, i) => {
    columns[i % width] += value;
    rows[Math.floor(i / width)] += value;
  });
  const left = offset(columns, side), top = offset(rows, side);
  small.forEach((value, i) => {
    pixels[(top + Math.floor(i / width)) * side + left + (i % width)] = Math.round(value);
  });
  return pixels;
}
