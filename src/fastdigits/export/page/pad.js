// The pad: a list of marks, and the canvas that shows them.
//
// A mark is a stroke or an example, as in strokes.js; or a blank sheet, {}. The last two hide the marks before them, and
// undo shows these again. The canvas is SIZE × SIZE for any size on the screen.

const STEP = SIZE / 28; // of the pen for an arrow key
const NEAR = SIZE / 90; // minimum distance of two points: with whole pixels, a line would look shaky

class Pad {
  /**
   * Take the canvas, the side of an example in pixels, whether the marks may be several digits or are always one
   * picture, and a function to call when the ink changes.
   */
  constructor(canvas, side, isText, onChange) {
    canvas.width = canvas.height = SIZE;
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.side = side;
    this.isText = isText;
    this.onChange = onChange;
    this.marks = [];
    this.undone = []; // marks that redo brings back, the next one last
    this.penWidth = 0;
  }

  /** Return the visible marks. */
  visible() {
    const sheet = this.marks.findLastIndex(({ points }) => !points);
    return this.marks.slice(Math.max(0, sheet)).filter(({ box }) => box);
  }

  get isEmpty() {
    return this.visible().length === 0;
  }

  add(mark) {
    this.marks.push(mark);
    this.undone = [];
  }

  /** Begin a stroke with a dot. */
  begin(x, y, pressure = 0.5) {
    this.add({ points: [], box: { left: x, top: y, right: x, bottom: y } });
    this.extend(x, y, pressure);
  }

  /** Continue the stroke to a point. At half of the maximum pressure, the line has the chosen width. */
  extend(x, y, pressure = 0.5) {
    const mark = this.marks.at(-1);
    const { points } = mark;
    points.push({ x, y, width: this.penWidth * (0.5 + pressure) });
    mark.box = around([mark.box, { left: x, top: y, right: x, bottom: y }]);
    this.drawLine(points.at(-2) ?? points[0], points.at(-1));
    this.onChange();
  }

  /** Replace the drawing by an example. */
  show(picture) {
    this.add({ picture, box: boxOfPicture(picture, this.side) });
    this.repaint();
  }

  undo() {
    if (this.marks.length) this.undone.push(this.marks.pop());
    this.repaint();
  }

  redo() {
    if (this.undone.length) this.marks.push(this.undone.pop());
    this.repaint();
  }

  clear() {
    if (!this.isEmpty) this.add({});
    this.repaint();
  }

  /** Draw all marks again, in the current colour of ink. */
  repaint() {
    this.context.clearRect(0, 0, SIZE, SIZE);
    for (const { points, picture } of this.visible()) {
      if (picture) this.drawPicture(picture);
      else points.forEach((point, i) => this.drawLine(points[Math.max(0, i - 1)], point));
    }
    this.onChange();
  }

  drawLine(from, to) {
    const { context } = this;
    context.strokeStyle = colour("--ink");
    context.lineCap = "round"; // a line of length 0 becomes a dot
    context.lineWidth = to.width;
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
    context.stroke();
  }

  drawPicture(picture) {
    const small = document.createElement("canvas");
    small.width = small.height = this.side;
    paint(small, picture, { columns: this.side, limit: 255, positive: "--ink" });
    this.context.drawImage(small, 0, 0, SIZE, SIZE);
  }

  /** Return the digits in the order of reading, each with its marks, its box and its pixels, the network's input. */
  digits() {
    const marks = this.visible();
    const whole = marks.length ? [{ marks, box: around(marks.map(({ box }) => box)) }] : [];
    return (this.isText ? findDigits(marks) : whole).map((digit) => ({ ...digit, pixels: toPixels(digit, this.side) }));
  }
}

/** Draw with mouse, pen or finger: only the first finger, only the main button. */
function drawWithPointer(pad, onEnd) {
  const { canvas } = pad;
  let drawing = null; // identifier of the active pointer
  let last = [0, 0];
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    last = [((event.clientX - box.left) * SIZE) / box.width, ((event.clientY - box.top) * SIZE) / box.height];
    const pressure = event.pointerType === "pen" && event.pressure > 0 ? event.pressure : 0.5;
    return [...last, pressure];
  };
  const follow = (event) => {
    const [x, y] = last;
    const next = place(event);
    if (Math.hypot(next[0] - x, next[1] - y) >= NEAR) pad.extend(...next);
    else last = [x, y];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (drawing !== null || !event.isPrimary || event.button !== 0) return;
    drawing = event.pointerId;
    canvas.setPointerCapture(drawing); // a stroke may leave the canvas and come back
    pad.begin(...place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== drawing) return;
    // A browser combines all movements between two frames into one event.
    const parts = event.getCoalescedEvents?.() ?? [];
    for (const part of parts.length ? parts : [event]) follow(part);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => {
      if (event.pointerId !== drawing) return;
      drawing = null;
      onEnd();
    });
  }
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Draw with keys: arrows move the pen, two of them diagonally; Space or Enter lowers or lifts it. */
function drawWithKeys(pad, cursor, say, onEnd) {
  const { canvas } = pad;
  const held = new Set();
  let x = SIZE / 2, y = SIZE / 2, down = false;

  const showCursor = () => {
    cursor.style.left = `${(100 * x) / SIZE}%`;
    cursor.style.top = `${(100 * y) / SIZE}%`;
    cursor.classList.toggle("down", down);
  };
  const put = (isDown) => {
    if (down === isDown) return;
    down = isDown;
    showCursor();
    if (!down) return onEnd("pen up");
    pad.begin(x, y);
    say("pen down");
  };
  const move = (fine) => {
    const step = fine ? STEP / 4 : STEP;
    for (const key of held) {
      x = Math.max(0, Math.min(SIZE, x + step * ARROWS[key][0]));
      y = Math.max(0, Math.min(SIZE, y + step * ARROWS[key][1]));
    }
    if (down) pad.extend(x, y);
    showCursor();
  };

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in ARROWS) {
      held.add(event.key);
      move(event.shiftKey);
    } else if (event.key === " " || event.key === "Enter") {
      if (!event.repeat) put(!down);
    } else if (event.key === "Escape") {
      put(false);
    } else return;
    event.preventDefault(); // no scrolling
  });
  canvas.addEventListener("keyup", (event) => held.delete(event.key));
  canvas.addEventListener("blur", () => {
    held.clear();
    put(false);
  });
  showCursor();
  return { lift: () => put(false) };
}
