// Strokes as lists of points: which of them form a digit, and the ink of a digit with a pen that suits its size.
//
// A mark is a stroke, {points: [{x, y, width}, …], box}, or an example, {picture: bytes, box}. Positions and widths are
// in points of the pad, which is SIZE × SIZE. A box is {left, top, right, bottom}, of the middle of the lines.

const SIZE = 560;
// A pen of 6 % of the pad's width suits a drawing half as large as the pad: it becomes 12 % of the drawing.
const USUAL = 0.5;
const DETAIL = 200; // points along the longer side of a digit's ink: ten per pixel of MNIST's box

/** Return the smallest box around all boxes. */
function around(boxes) {
  return {
    left: Math.min(...boxes.map(({ left }) => left)),
    top: Math.min(...boxes.map(({ top }) => top)),
    right: Math.max(...boxes.map(({ right }) => right)),
    bottom: Math.max(...boxes.map(({ bottom }) => bottom)),
  };
}

function longerSide({ left, top, right, bottom }) {
  return Math.max(right - left, bottom - top);
}

// -- digits -------------------------------------------------------------------------------------------------

// Chosen on 1,050 generated numbers, whose digits are up to 30 % of their height apart or overlap by up to 10 %.
const MARGIN = 0.12; // on each side of a box, relative to the larger height: a vertical line has a width, too
const SHARED = 0.6; // minimum part of the narrower box, with margins, that lies above or below the other
const APART = 0.25; // minimum gap between two lines of digits, relative to the larger height
const SMALL = 0.3; // of the highest digit in a line: a smaller mark is a point or a comma

/** Return whether two boxes belong to one digit: they are above each other, without a gap like that of two lines. */
function belong(a, b) {
  const height = Math.max(a.bottom - a.top, b.bottom - b.top);
  const margins = 2 * MARGIN * height;
  const shared = Math.min(a.right, b.right) - Math.max(a.left, b.left) + margins;
  const narrower = Math.min(a.right - a.left, b.right - b.left) + margins;
  const gap = Math.max(a.top, b.top) - Math.min(a.bottom, b.bottom);
  return shared > SHARED * narrower && gap <= APART * height;
}

/** Return digits, each {marks, box, isSmall}, in the order of reading: line by line, from left to right. */
function findDigits(marks) {
  let digits = [];
  for (const mark of marks) {
    // A digit that grows may reach others, so look again until none belongs to it.
    let digit = { marks: [mark], box: mark.box };
    for (let others; ; digits = others) {
      const own = digits.filter(({ box }) => belong(box, digit.box));
      if (own.length === 0) break;
      others = digits.filter((other) => !own.includes(other));
      const parts = [...own, digit];
      digit = { marks: parts.flatMap((part) => part.marks), box: around(parts.map(({ box }) => box)) };
    }
    digits.push(digit);
  }
  return findLines(digits).flat();
}

/** Return the lines of digits from top to bottom, each from left to right. */
function findLines(digits) {
  const middle = ({ box }) => (box.top + box.bottom) / 2;
  const lines = [];
  for (const digit of [...digits].sort((a, b) => middle(a) - middle(b))) {
    const line = lines.at(-1);
    const { top, bottom } = around((line ?? []).map(({ box }) => box));
    if (line && middle(digit) < bottom + APART * (bottom - top)) line.push(digit); // a comma may be below the others
    else lines.push([digit]);
  }
  return lines.map((line) => {
    const least = SMALL * Math.max(...line.map(({ box }) => box.bottom - box.top));
    const sorted = line.sort((a, b) => a.box.left - b.box.left);
    return sorted.map((digit) => ({ ...digit, isSmall: longerSide(digit.box) < least }));
  });
}

// -- pixels -------------------------------------------------------------------------------------------------

/** Return the box of an example, which covers the pad. */
function boxOfPicture(picture, side) {
  const { left, top, width, height } = boxOf(picture, side) ?? { left: 0, top: 0, width: side, height: side };
  const [cell, right, bottom] = [SIZE / side, left + width, top + height];
  return { left: left * cell, top: top * cell, right: right * cell, bottom: bottom * cell };
}

/** Return the network's input for a digit, side × side bytes. An example without strokes is one already. */
function toPixels(digit, side) {
  const [{ picture }, ...others] = digit.marks;
  if (picture && others.length === 0) return picture;
  const { ink, size } = drawInk(digit, side);
  return prepare(ink, size, side);
}

// -- ink ----------------------------------------------------------------------------------------------------

/**
 * Return the ink of a digit, {ink, size}, with lines as thick as if the digit filled a part USUAL of the pad.
 *
 * The pad shows a line of constant width, which would make a small digit a blob.
 */
function drawInk({ marks, box }, side) {
  const longest = Math.max(1, longerSide(box));
  const enlarged = longest / (USUAL * SIZE);
  const points = marks.flatMap((mark) => mark.points ?? []);
  const widest = enlarged * points.reduce((most, { width }) => Math.max(most, width), 0);
  const scale = DETAIL / (longest + widest);
  const place = ({ x, y }) => [(x - box.left + widest / 2) * scale, (y - box.top + widest / 2) * scale];
  const ink = new Uint8Array(DETAIL * DETAIL);
  for (const { points, picture } of marks) {
    if (picture) {
      const origin = place({ x: 0, y: 0 });
      addPicture(ink, picture, side, origin, (SIZE * scale) / side);
    } else {
      points.forEach((point, i) => {
        addLine(ink, place(points[Math.max(0, i - 1)]), place(point), (point.width * enlarged * scale) / 2);
      });
    }
  }
  return { ink, size: DETAIL };
}

/** Add a line with round ends; a point at its edge is grey by the part that the line covers. */
function addLine(ink, [x1, y1], [x2, y2], radius) {
  const reach = radius + 1;
  const last = DETAIL - 1;
  const dx = x2 - x1, dy = y2 - y1, square = dx * dx + dy * dy;
  const range = (a, b) => [Math.max(0, Math.floor(Math.min(a, b) - reach)), Math.min(last, Math.max(a, b) + reach)];
  const [left, right] = range(x1, x2), [top, bottom] = range(y1, y2);
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const px = x + 0.5 - x1, py = y + 0.5 - y1;
      const along = square ? Math.max(0, Math.min(1, (px * dx + py * dy) / square)) : 0;
      const covered = radius + 0.5 - Math.hypot(px - along * dx, py - along * dy);
      if (covered > 0) ink[y * DETAIL + x] = Math.max(ink[y * DETAIL + x], Math.min(255, Math.round(255 * covered)));
    }
  }
}

/** Add an example whose first pixel begins at a place; its pixels are squares of `cell` points. */
function addPicture(ink, picture, side, [left, top], cell) {
  for (let y = 0; y < DETAIL; y++) {
    for (let x = 0; x < DETAIL; x++) {
      const column = Math.floor((x + 0.5 - left) / cell), row = Math.floor((y + 0.5 - top) / cell);
      const value = column >= 0 && column < side && row >= 0 && row < side ? picture[row * side + column] : 0;
      ink[y * DETAIL + x] = Math.max(ink[y * DETAIL + x], value);
    }
  }
}
