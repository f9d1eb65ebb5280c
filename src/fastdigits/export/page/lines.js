// The lines between layers: which are the strongest, and a picture of them.
//
// The strength of a line is weight times activation: what it adds to the sum of the neuron at its end. Traced back from a
// chosen neuron, it is multiplied by the effect of that neuron's sum on the chosen one: what the line adds to the latter.

/**
 * Return the strongest lines into a dense layer, {from, to, strength}, strongest first.
 *
 * `x` is the layer's input, `effects` the effect of each of its sums on the chosen neuron; null if none is chosen.
 */
function strongestLines({ weight, bias }, x, effects, count) {
  const outputs = bias.length;
  const byStrength = (a, b) => Math.abs(b.strength) - Math.abs(a.strength);
  let lines = [], least = 0;
  for (let from = 0; from < x.length; from++) {
    if (x[from] === 0) continue;
    for (let to = 0; to < outputs; to++) {
      const strength = x[from] * weight[from * outputs + to] * (effects ? effects[to] : 1);
      if (Math.abs(strength) <= least) continue;
      lines.push({ from, to, strength });
      if (lines.length > 2 * count + 100) {
        lines = lines.sort(byStrength).slice(0, count);
        least = Math.abs(lines.at(-1)?.strength ?? Infinity);
      }
    }
  }
  return lines.sort(byStrength).slice(0, count);
}

/** A canvas over the layers that shows lines; it lets the pointer through. */
class LinePicture {
  constructor(canvas) {
    this.canvas = canvas;
    this.lines = []; // those on the screen, with their ends: {…, x0, y0, x1, y1}
  }

  /**
   * Draw groups of lines, one for each dense layer; the strongest line of a group is the thickest.
   *
   * `ends(line)` returns the places of both ends, [x0, y0, x1, y1], in pixels of the page from the canvas's corner.
   */
  draw(groups, ends, selected) {
    const { canvas } = this, context = canvas.getContext("2d");
    const sharpness = devicePixelRatio, width = canvas.clientWidth, height = canvas.clientHeight;
    Object.assign(canvas, { width: width * sharpness, height: height * sharpness }); // clears it, too
    context.scale(sharpness, sharpness);
    context.lineCap = "round";
    const colours = [colour("--for"), colour("--against")];
    const thickest = width < 400 ? 3 : Math.max(4, width / 160);
    this.lines = [];
    for (const lines of groups) {
      const limit = Math.abs(lines[0]?.strength ?? 1);
      for (const line of [...lines].reverse()) { // the strongest on top
        const [x0, y0, x1, y1] = ends(line);
        const share = Math.abs(line.strength) / limit;
        context.strokeStyle = colours[line.strength < 0 ? 1 : 0];
        context.globalAlpha = 0.25 + 0.65 * share;
        context.lineWidth = Math.max(0.75, thickest * share);
        this.stroke(context, x0, y0, x1, y1);
        this.lines.push({ ...line, x0, y0, x1, y1 });
      }
    }
    if (selected) this.mark(context, ends(selected), thickest);
  }

  /** Draw the selected line once more, dashed, in the colour of text. */
  mark(context, ends, thickest) {
    Object.assign(context, { globalAlpha: 1, strokeStyle: colour("--text"), lineWidth: Math.max(2, thickest / 2) });
    context.setLineDash([6, 5]);
    this.stroke(context, ...ends);
    context.setLineDash([]);
  }

  stroke(context, x0, y0, x1, y1) {
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
    context.stroke();
  }

  /** Return the line nearest to a place, the stronger of two as near; null if none is within `reach`. */
  at(x, y, reach) {
    let best = null, nearest = reach;
    for (const line of this.lines) {
      const { x0, y0, x1, y1 } = line;
      const length = (x1 - x0) ** 2 + (y1 - y0) ** 2;
      const share = Math.max(0, Math.min(1, ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / (length || 1)));
      const distance = Math.hypot(x - x0 - share * (x1 - x0), y - y0 - share * (y1 - y0));
      if (distance <= nearest) [best, nearest] = [line, distance];
    }
    return best;
  }
}
