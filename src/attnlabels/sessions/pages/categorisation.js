// A plugin for jsPsych: a picture shown for a counted number of frames, and a key for its class.
// The core's own clock is setTimeout, by which one picture in five stays a frame too long.

const CROSS = 0.05; // half its length, of the canvas's shorter side
const USUAL_PERIOD = 1000 / 60; // until frames have been seen
const SLOW = 1.5; // periods, from which on a frame counts as slow

export function median(numbers) {
  const sorted = [...numbers].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// Whether a frame that begins now is the nearest to an end so long after a start.
export function isOver(stamp, start, duration, period) {
  return stamp - start >= duration - period / 2;
}

const { ParameterType } = globalThis.jsPsychModule ?? { ParameterType: {} };

export class RapidCategorisation {
  static info = {
    name: "rapid-categorisation",
    version: "1.0.0",
    parameters: {
      picture: { type: ParameterType.FUNCTION, default: undefined }, // returns an ImageBitmap
      keys: { type: ParameterType.OBJECT, default: undefined }, // class by key
      right: { type: ParameterType.STRING, default: undefined }, // the picture's class
      feedback: { type: ParameterType.BOOL, default: false },
      fixation_ms: { type: ParameterType.FLOAT, default: 1100 },
      stimulus_ms: { type: ParameterType.FLOAT, default: 400 },
      answer_ms: { type: ParameterType.FLOAT, default: 150 },
      message_ms: { type: ParameterType.FLOAT, default: 800 },
      scale: { type: ParameterType.FLOAT, default: 1 },
      texts: { type: ParameterType.OBJECT, default: undefined }, // right, wrong, too_slow
    },
    data: {
      outcome: { type: ParameterType.STRING },
      key: { type: ParameterType.STRING },
      response: { type: ParameterType.STRING },
      correct: { type: ParameterType.BOOL },
      rt: { type: ParameterType.FLOAT }, // ms from the onset
      started_ms: { type: ParameterType.FLOAT },
      onset_ms: { type: ParameterType.FLOAT },
      offset_ms: { type: ParameterType.FLOAT },
      period_ms: { type: ParameterType.FLOAT },
      frames: { type: ParameterType.INT },
      slow_frames: { type: ParameterType.INT },
      hidden: { type: ParameterType.INT },
      left_fullscreen: { type: ParameterType.INT },
      fullscreen: { type: ParameterType.BOOL },
      ratio: { type: ParameterType.FLOAT },
      width: { type: ParameterType.FLOAT },
      height: { type: ParameterType.FLOAT },
    },
  };

  constructor(jsPsych) {
    this.jsPsych = jsPsych;
  }

  trial(display, trial) {
    const picture = trial.picture();
    const canvas = document.createElement("canvas");
    for (const side of ["width", "height"]) {
      const shown = picture[side] * trial.scale; // CSS px
      canvas[side] = Math.round(shown * window.devicePixelRatio);
      canvas.style[side] = `${shown}px`;
    }
    const message = document.createElement("p");
    message.className = "message";
    display.replaceChildren(canvas, message);
    const screen = new Screen(canvas);
    const told = { outcome: "too_slow", key: null, response: null, rt: null, hidden: 0 };
    Object.assign(told, { left_fullscreen: 0, started_ms: null, onset_ms: null, offset_ms: null });
    const gaps = []; // between frames, ms
    let frames = 0;
    let last = null;
    let over = null; // stamp at which the message began
    const period = () => (gaps.length ? median(gaps) : USUAL_PERIOD);

    const heard = {
      // by the event's own stamp: it is heard only once the frame's work is done
      keydown: (event) => {
        const key = event.key.toLowerCase();
        const rt = event.timeStamp - told.onset_ms;
        const late = rt > trial.stimulus_ms + trial.answer_ms;
        if (event.repeat || told.onset_ms === null || told.key || !(key in trial.keys)) return;
        if (rt < 0 || late || over !== null) return;
        Object.assign(told, { outcome: "answered", key, response: trial.keys[key], rt });
      },
      visibilitychange: () => (told.hidden += document.hidden ? 1 : 0),
      fullscreenchange: () => (told.left_fullscreen += document.fullscreenElement ? 0 : 1),
    };
    for (const [name, listener] of Object.entries(heard)) document.addEventListener(name, listener);

    const end = () => {
      for (const [name, listener] of Object.entries(heard)) document.removeEventListener(name, listener);
      const shown = { width: canvas.clientWidth, height: canvas.clientHeight };
      picture.close();
      this.jsPsych.finishTrial({ ...told, correct: told.response === trial.right, ...shown });
    };

    const steps = {
      fixation: (stamp) => {
        if (!isOver(stamp, told.started_ms, trial.fixation_ms, period())) return "fixation";
        screen.show(picture);
        const fullscreen = document.fullscreenElement !== null;
        Object.assign(told, { onset_ms: stamp, period_ms: period(), fullscreen });
        told.ratio = window.devicePixelRatio;
        return "stimulus";
      },
      stimulus: (stamp) => {
        frames += 1;
        if (!isOver(stamp, told.onset_ms, trial.stimulus_ms, told.period_ms)) return "stimulus";
        screen.clear();
        Object.assign(told, { offset_ms: stamp, frames });
        return "answer";
      },
      answer: (stamp) => {
        const limit = trial.stimulus_ms + trial.answer_ms;
        if (!told.key && stamp - told.onset_ms <= limit) return "answer";
        told.slow_frames = gaps.filter((gap) => gap > SLOW * told.period_ms).length;
        const verdict = told.response === trial.right ? "right" : "wrong";
        if (told.key && !trial.feedback) return "end";
        message.textContent = trial.texts[told.key ? verdict : "too_slow"];
        message.dataset.verdict = told.key ? verdict : "too_slow";
        over = stamp;
        return "message";
      },
      message: (stamp) => (isOver(stamp, over, trial.message_ms, told.period_ms) ? "end" : "message"),
    };

    let step = "fixation";
    const frame = (stamp) => {
      if (last === null) {
        told.started_ms = stamp;
        screen.cross();
      } else {
        gaps.push(stamp - last);
      }
      last = stamp;
      step = steps[step](stamp);
      if (step === "end") end();
      else requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }
}

class Screen {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.ground = getComputedStyle(document.body).backgroundColor;
    this.clear();
  }

  clear() {
    this.context.fillStyle = this.ground;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  cross() {
    const [x, y] = [this.canvas.width / 2, this.canvas.height / 2];
    this.clear();
    this.context.fillStyle = "#000";
    const half = CROSS * 2 * Math.min(x, y);
    const width = Math.max(1, half / 4);
    this.context.fillRect(x - half, y - width / 2, 2 * half, width);
    this.context.fillRect(x - width / 2, y - half, width, 2 * half);
  }

  show(picture) {
    this.context.drawImage(picture, 0, 0, this.canvas.width, this.canvas.height);
  }
}
