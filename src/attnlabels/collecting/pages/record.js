// What is kept of a round while it goes on: samples, frames, times that the page was hidden.

import { rounded } from "./geometry.js";
import { FrameCount } from "./frames.js";

const LEAST_MS = 4; // between two moves that are kept; mice that tell 1,000 a second are thinned
const MOST_MOVES = 15000;

export class Recording {
  constructor() {
    this.samples = [];
    this.frames = new FrameCount();
    this.hidden = 0;
    this.pointer = null;
    this.moves = 0;
    this.lastMove = -Infinity;
    this.onHidden = () => {
      if (document.hidden) this.hidden += 1;
    };
    document.addEventListener("visibilitychange", this.onHidden);
  }

  /** Keeps an event at `t` ms and a place in image pixels. */
  add(t, { x, y }, event) {
    if (event === "move") {
      if (t - this.lastMove < LEAST_MS || this.moves >= MOST_MOVES) return;
      this.lastMove = t;
      this.moves += 1;
    }
    this.samples.push([Math.max(0, rounded(t, 1)), rounded(x, 2), rounded(y, 2), event]);
  }

  close() {
    document.removeEventListener("visibilitychange", this.onHidden);
  }

  /** The round as the server takes it, but for what the view and the task say. */
  finished(outcome, durationMs) {
    this.close();
    return {
      outcome,
      duration_ms: rounded(Math.max(0, durationMs), 1),
      pointer: this.pointer,
      hidden: this.hidden,
      samples: this.samples.sort(([one], [other]) => one - other), // of one time in their order
      ...this.frames.summary(),
    };
  }
}
