// What rounds of all tasks have: a view, a recording, a time that runs out, an end.

import { eachFrame } from "./frames.js";
import { Recording } from "./record.js";

/**
 * A round on `view`, as the server has `given` it. `ports` are what it tells the page, as
 * `left(share, seconds)`, and `stopped`, a promise: of null when the round is given up, of "skipped"
 * when it is skipped. A task's class calls `begin`, and `finish` in time.
 */
export class Round {
  constructor(view, given, ports) {
    Object.assign(this, { view, given, ports });
    this.limit = given.settings.seconds * 1000;
    this.recording = new Recording();
    this.start = null; // from which times count: the first press, or the frame with the image
    this.end = new Promise((resolve) => (this.resolve = resolve));
    ports.stopped.then((outcome) => this.finish(outcome));
  }

  /** Draws, now and whenever the view is fitted anew; hears `target`; and calls `draw` each frame. */
  begin(redraw, listeners, target = window) {
    this.view.redraw = redraw;
    redraw();
    this.unhear = () => {
      for (const [name, heard] of Object.entries(listeners)) target.removeEventListener(name, heard);
    };
    for (const [name, heard] of Object.entries(listeners)) {
      target.addEventListener(name, heard, { passive: true });
    }
    this.stop = eachFrame((stamp) => {
      this.recording.frames.add(stamp);
      return this.draw(stamp);
    });
  }

  /** Tells how much time is left after so many ms; whether there is any. */
  hasTime(elapsed) {
    this.ports.left(Math.max(0, 1 - elapsed / this.limit), (this.limit - elapsed) / 1000);
    return elapsed < this.limit;
  }

  finish(outcome, duration = this.start === null ? 0 : performance.now() - this.start) {
    const shown = this.view.shown();
    if (outcome === null) this.resolve(null);
    else this.resolve({ ...this.recording.finished(outcome, duration), ...shown });
  }

  /** What the server is to be told of it, once it has ended; null if it was given up. */
  async played() {
    try {
      return await this.end;
    } finally {
      this.close();
    }
  }

  close() {
    this.stop();
    this.recording.close();
    this.unhear();
  }
}
