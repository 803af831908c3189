// The brush of the game (Linsley et al. 2019): bubbles that follow the pointer. Pure.

/**
 * A bubble at the first press and one each `period` ms, at most `step` px from the one before: fast
 * strokes lag behind the pointer. Where it would not move there is none. Times count from the press.
 */
export class Brush {
  constructor({ step, period, limit }) {
    this.step = step;
    this.period = period;
    this.limit = limit;
    this.pointer = []; // [t, x, y] or [t, null] where it is not on the image, in order
    this.bubbles = []; // [t, x, y]
    this.ticks = 0;
  }

  press(x, y) {
    this.pointer.push([0, x, y]);
    this.bubbles.push([0, x, y]);
  }

  /** The pointer is at a place at time `t`; without one it is not on the image. */
  move(t, x = null, y = null) {
    this.pointer.push([t, x, y]);
  }

  /** The new bubbles until `now`; however late this is called, they are those of their times. */
  advance(now) {
    const before = this.bubbles.length;
    const end = Math.min(now, this.limit);
    while ((this.ticks + 1) * this.period <= end) {
      this.ticks += 1;
      this.tick(this.ticks * this.period);
    }
    return this.bubbles.slice(before);
  }

  tick(t) {
    while (this.pointer.length > 1 && this.pointer[1][0] <= t) this.pointer.shift();
    const [, x, y] = this.pointer[0];
    if (x === null) return;
    const [, a, b] = this.bubbles.at(-1);
    const far = Math.hypot(x - a, y - b);
    if (far === 0) return;
    const part = Math.min(1, this.step / far);
    this.bubbles.push([t, a + part * (x - a), b + part * (y - b)]);
  }
}
