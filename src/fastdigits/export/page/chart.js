// A small chart.

const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 2 }); // 0.25, 100, 1.2K

/** A small chart over the epochs: lines, and dots for single steps. */
class Chart {
  /** Take the canvas and the upper end of the vertical axis; null for the largest value. */
  constructor(canvas, top) {
    Object.assign(this, { canvas, top });
  }

  /** Draw series, {name, points: [x, y], style: "dots", "dashed" or a solid line}. */
  draw(series) {
    const { canvas } = this, context = canvas.getContext("2d");
    const width = canvas.clientWidth, height = canvas.clientHeight, size = parseFloat(getComputedStyle(canvas).fontSize);
    Object.assign(canvas, { width: width * devicePixelRatio, height: height * devicePixelRatio });
    context.scale(devicePixelRatio, devicePixelRatio);
    context.font = `${size}px sans-serif`;
    const points = series.flatMap((one) => one.points);
    const finite = points.filter(([, y]) => Number.isFinite(y));
    const highest = this.top ?? (finite.reduce((most, [, y]) => Math.max(most, y), 0) || 1);
    const widest = points.reduce((most, [x]) => Math.max(most, x), 1);
    const left = 3.6 * size, right = width - 5 * size, low = height - 1.6 * size, high = 0.8 * size;
    const place = ([x, y]) => [left + (x / widest) * (right - left), low - (Math.min(y, highest) / highest) * (low - high)];
    this.drawAxes(context, { left, right, low, high, size, highest, widest });
    const names = []; // of the lines, right of them
    for (const { name, points, style } of series) {
      const colours = { dots: "--quiet", dashed: "--against" };
      context.strokeStyle = context.fillStyle = colour(colours[style] ?? "--for");
      if (style === "dots") {
        context.globalAlpha = 0.35;
        for (const point of points) context.fillRect(...place(point).map((at) => at - 1), 2, 2);
        context.globalAlpha = 1;
      } else if (points.length > 0) {
        this.drawLine(context, points.map(place), style);
        names.push({ name, y: place(points.at(-1))[1], fill: context.fillStyle });
      }
    }
    names.sort((one, other) => one.y - other.y).forEach(({ name, y, fill }, i) => {
      if (i > 0) y = names[i].y = Math.max(y, names[i - 1].y + 1.1 * size); // where lines meet, names stay apart
      context.fillStyle = fill;
      context.textAlign = "left";
      context.fillText(name, right + 0.3 * size, y + 0.35 * size);
    });
  }

  drawAxes(context, { left, right, low, high, size, highest, widest }) {
    context.strokeStyle = colour("--line");
    context.fillStyle = colour("--quiet");
    for (const share of [0, 0.5, 1]) {
      const y = low - share * (low - high);
      context.beginPath();
      context.moveTo(left, y);
      context.lineTo(right, y);
      context.stroke();
      const text = this.top === 1 ? `${100 * share} %` : short.format(share * highest);
      context.textAlign = "right";
      context.fillText(text, left - 0.3 * size, y + 0.35 * size);
    }
    context.textAlign = "left";
    context.fillText("0", left, low + 1.3 * size);
    context.textAlign = "right";
    context.fillText(`epoch ${Math.ceil(widest)}`, right, low + 1.3 * size);
  }

  drawLine(context, places, style) {
    context.lineWidth = 2;
    context.setLineDash(style === "dashed" ? [5, 3] : []);
    context.beginPath();
    places.forEach((place) => context.lineTo(...place));
    context.stroke();
    context.setLineDash([]);
  }
}
