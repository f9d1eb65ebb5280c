// What MNIST's makers did to their digits, done to what is drawn.
//
// From Y. LeCun's description of the database: each digit was fitted into a box of 20 × 20 pixels keeping its
// proportions, which made grey of black and white; and placed in 28 × 28 pixels so that its centre of mass lies in the
// middle. The digits themselves tell the rest: the longer side of the box is always 20, and the centre of mass always
// lies within the pixel that begins at 14, so that digits were moved by whole pixels.
//
// Ink is a byte for each point of a square pad, row by row: 0 is paper, 255 is covered. To the network paper is dark.

const VISIBLE = 64; // ink from which a point belongs to the digit's box: the soft rim of a line does not

/** Return the smallest box around all ink, {left, top, width, height}; null where there is none. */
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
 * Average each row into `count` values, by the area that each of them covers.
 *
 * The result is transposed, (count, height), so that a second call does the same to the columns.
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

/** Return how far to move an image along one side so that its centre of mass is in the middle, but all of it inside. */
function offset(masses, side) {
  let sum = 0, moment = 0;
  masses.forEach((mass, i) => {
    sum += mass;
    moment += mass * (i + 0.5);
  });
  const wanted = Math.floor(side / 2) - Math.floor(moment / sum);
  return Math.max(0, Math.min(side - masses.length, wanted));
}

/** Return side × side bytes as the network knows them, from size × size bytes of ink; all 0 where there is no ink. */
function prepare(ink, size, side) {
  const pixels = new Uint8Array(side * side);
  const box = boxOf(ink, size);
  if (box === null) return pixels;
  const longest = Math.max(1, Math.round((side * 20) / 28)); // other sizes keep MNIST's share of margin
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
