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

  /** Show digits, with their boxes and probabilities, in the order of reading; and the bars of the chosen one. */
  show(digits, chosen) {
    this.digits = digits;
    const readings = digits.map((digit) => this.read(digit));
    const reading = readings[digits.indexOf(chosen)] ?? null;
    this.showNumber(readings);
    [this.sure.textContent, this.second.textContent] = this.describe(readings, reading);
    this.spoken = this.toSpeech(readings);
    this.showBars(chosen?.probabilities ?? null, reading?.first);
    this.showDigits(readings, chosen);
  }

  /** Return the most probable class, its probability and sign, and sentences about it and the second class. */
  read({ probabilities, isSmall }) {
    const [first, second] = ranked(probabilities);
    const share = probabilities[first];
    const isReject = isSmall || this.labels[first] === REJECT;
    const isGuess = share < SURE;
    const isDoubtful = isReject || isGuess;
    const sign = isReject ? "?" : this.labels[first];
    const sure = `${isReject ? `${REJECT}, ` : isGuess ? "only " : ""}${roughly(share)} sure`;
    const or = isDoubtful ? "or" : "then";
    const then = second === undefined ? "" : `${or} ${this.labels[second]}, ${roughly(probabilities[second])}`;
    if (isSmall) return { first, share: 0, sign, isReject, isDoubtful, sure: "too small for a digit", then: "" };
    return { first, share, sign, isReject, isDoubtful, sure, then };
  }

  showNumber(readings) {
    const signs = readings.map(({ sign, isDoubtful }) => {
      const part = document.createElement("span");
      part.textContent = sign;
      part.classList.toggle("doubtful", isDoubtful);
      return part;
    });
    this.digit.replaceChildren(...(signs.length ? signs : ["–"]));
    this.digit.style.setProperty("--characters", this.digit.textContent.length);
  }

  /** Return two sentences: about a number and its chosen digit, or about the only digit and the second class. */
  describe(readings, reading) {
    if (readings.length === 0) return ["nothing drawn yet", ""];
    if (readings.length === 1) return [reading.sure, reading.then];
    const rejects = readings.filter(({ isReject }) => isReject).length;
    const least = wholePercent(Math.min(...readings.map(({ share }) => share)));
    const whole = rejects
      ? `${readings.length} marks, ${rejects === 1 ? "one is" : `${rejects} are`} ${REJECT}`
      : `${readings.length} digits, each at least ${least} sure`;
    return [whole, `${reading.sign}: ${reading.sure}`];
  }

  /** Return the answer for a screen reader. */
  toSpeech(readings) {
    if (readings.length === 0) return "the pad is empty";
    if (readings.length > 1) return `${this.digit.textContent}, ${this.sure.textContent}`;
    const [{ isReject, sign, sure, then }] = readings;
    return [isReject ? "" : sign, sure, then].filter(Boolean).join(", ");
  }

  /** Show a button and a frame for each digit of a number; none for a single one. */
  showDigits(readings, chosen) {
    const count = readings.length > 1 ? readings.length : 0;
    this.buttons.hidden = count === 0;
    this.fit(count);
    for (let i = 0; i < count; i++) {
      const { sign, share, isDoubtful } = readings[i];
      const button = this.buttons.children[i], frame = this.frames.children[i];
      const isChosen = this.digits[i] === chosen;
      button.children[0].textContent = sign;
      button.children[1].textContent = share ? wholePercent(share) : "";
      button.setAttribute("aria-pressed", isChosen);
      button.classList.toggle("doubtful", isDoubtful);
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
