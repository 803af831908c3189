// Frames of the display, counted by their own stamps: setTimeout knows nothing of them.

/** Counts the frames of a round. Pure: it is told the stamps. */
export class FrameCount {
  constructor() {
    this.stamps = [];
  }

  add(stamp) {
    this.stamps.push(stamp);
  }

  /** How many there were, those longer than 1.5 periods, and the period (median, ms). */
  summary() {
    const times = this.stamps.slice(1).map((stamp, i) => stamp - this.stamps[i]);
    const sorted = [...times].sort((a, b) => a - b);
    const period = sorted.length ? sorted[Math.floor(sorted.length / 2)] : 0;
    const late = times.filter((time) => time > 1.5 * period).length;
    return { frames: this.stamps.length, late, period_ms: Math.round(period * 1000) / 1000 };
  }
}

/** Calls `draw(stamp)` in each frame until it returns false or the function that is returned is called. */
export function eachFrame(draw) {
  let going = true;
  const step = (stamp) => {
    if (going && draw(stamp) !== false) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
  return () => {
    going = false;
  };
}

/** The stamp of the next frame. */
export const nextFrame = () => new Promise((resolve) => requestAnimationFrame(resolve));
