// The answer: what is on the pad, how sure the network is, and the digits of a number to choose from.

const SURE = 0.8; // below this probability, the answer is a guess

/** Return the classes, most probable first. */
function ranked(probabilities) {
  return [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
}

class Answer {
  /** Take the labels of the classes, and a function to call with the digit that a user chooses. */
  constructor(labels, onChoose) {
    const part = (id) => document.getElementById(id);
    Object.assign(this, { labels, onChoose, digits: [], spoken: "" });
    Object.assign(this, { digit: part("digit"), sure: part("sure"), second: part("second") });
    Object.assign(this, { buttons: part("digits"), frames: part("frames") });
    this.showBars = makeBars(part("bars"), labels);
  }

  /** Show digits with their boxes and probabilities in the order of reading, and the bars of one of them, or of null. */
  show(digits, chosen) {
    this.digits = digits;
    const readings = digits.map(({ probabilities }) => this.read(probabilities));
    const reading = readings[digits.indexOf(chosen)] ?? null;
    this.write(readings, reading);
    this.showBars(chosen?.probabilities ?? null, reading?.first);
    this.showDigits(readings, chosen);
  }

  /** Return the two most probable classes, their sentences, and the mark for the first one. */
  read(probabilities) {
    const [first, second] = ranked(probabilities);
    const isReject = this.labels[first] === REJECT;
    const share = probabilities[first];
    const isDoubtful = isReject || share < SURE;
    const sure = `${isReject ? `${REJECT}, ` : ""}${isDoubtful && !isReject ? "only " : ""}${roughly(share)} sure`;
    const or = isDoubtful ? "or" : "then";
    const then = second === undefined ? "" : `${or} ${this.labels[second]}, ${roughly(probabilities[second])}`;
    return { first, share, sure, then, isReject, isDoubtful, mark: isReject ? "?" : this.labels[first] };
  }

  /** Write the whole reading, and how sure the chosen digit is; also as the text that is spoken. */
  write(readings, reading) {
    const number = readings.map(({ mark }) => mark).join("");
    const several = readings.length > 1;
    this.digit.textContent = number || "–";
    this.digit.style.setProperty("--characters", Math.max(1, number.length));
    this.digit.classList.toggle("doubtful", readings.some(({ isDoubtful }) => isDoubtful));
    const least = wholePercent(Math.min(...readings.map(({ share }) => share)));
    const rejects = readings.filter(({ isReject }) => isReject).length;
    const whole = rejects
      ? `${readings.length} marks, ${rejects === 1 ? "one is" : `${rejects} are`} ${REJECT}`
      : `${readings.length} digits, each at least ${least} sure`;
    this.sure.textContent = !reading ? "nothing drawn yet" : several ? whole : reading.sure;
    this.second.textContent = !reading ? "" : several ? `${reading.mark}: ${reading.sure}` : reading.then;
    const texts = [number.replaceAll("?", ""), this.sure.textContent, several ? "" : this.second.textContent];
    this.spoken = reading ? texts.filter(Boolean).join(", ") : "the pad is empty";
  }

  /** Show a button and a frame for each digit of a number; none for a single one. */
  showDigits(readings, chosen) {
    const count = readings.length > 1 ? readings.length : 0;
    this.buttons.hidden = count === 0;
    this.fit(count);
    for (let i = 0; i < count; i++) {
      const { mark, share, isDoubtful } = readings[i];
      const button = this.buttons.children[i], frame = this.frames.children[i];
      const isChosen = this.digits[i] === chosen;
      button.children[0].textContent = mark;
      button.children[1].textContent = wholePercent(share);
      button.setAttribute("aria-pressed", isChosen);
      for (const part of [button, frame]) part.classList.toggle("doubtful", isDoubtful);
      frame.classList.toggle("chosen", isChosen);
      const { left, top, right, bottom } = this.digits[i].box;
      const sides = { left, top, width: right - left, height: bottom - top };
      for (const [side, value] of Object.entries(sides)) frame.style[side] = `${(100 * value) / SIZE}%`;
    }
  }

  /** Keep as many buttons and frames as there are digits; those that stay keep the focus. */
  fit(count) {
    while (this.buttons.children.length > count) {
      this.buttons.lastChild.remove();
      this.frames.lastChild.remove();
    }
    while (this.buttons.children.length < count) {
      const place = this.buttons.children.length;
      const button = document.createElement("button");
      button.type = "button";
      button.append(document.createElement("b"), " ", document.createElement("span"));
      button.addEventListener("click", () => this.onChoose(this.digits[place]));
      this.buttons.append(button);
      this.frames.append(document.createElement("span"));
    }
  }
}
