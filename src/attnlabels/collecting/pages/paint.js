// The round of ClickMe: paint what tells the class; a partner sees only what is painted.

import { Brush } from "./brush.js";
import { Round } from "./round.js";
import { post, sleep } from "./server.js";
import { eventsIn, timeOf } from "./view.js";

const LAST_GUESS_MS = 400; // for which a guess on its way is waited for when time is over

/** One round; of `ports`, `guessed(names)` is told what the `partner` says, if there is one. */
export const paint = (view, given, image, ports) =>
  new Painting(view, given, image, ports).played();

class Painting extends Round {
  constructor(view, given, image, ports) {
    super(view, given, ports);
    const { bubble_px, period_ms } = given.settings;
    this.brush = new Brush({ step: bubble_px / 2, period: period_ms, limit: this.limit });
    this.asked = 0; // bubbles that the partner was asked about
    this.asking = null;
    this.mark = document.createElement("div");
    this.mark.className = "mark";
    this.mark.hidden = true;
    view.frame.append(this.mark);
    this.begin(() => this.drawAll(image), {
      pointerdown: (event) => this.down(event),
      pointermove: (event) => this.move(event),
      pointerup: (event) => this.lift(event),
      pointercancel: (event) => this.lift(event),
    });
  }

  down(event) {
    const place = this.view.at(event);
    if (!event.isPrimary || !this.view.has(place)) return;
    if (this.start === null) {
      this.start = timeOf(event);
      this.recording.pointer = event.pointerType || "mouse";
      this.recording.add(0, place, "down");
      this.recording.add(0, place, "bubble");
      this.brush.press(place.x, place.y);
      this.drawBubbles(this.brush.bubbles);
      this.ports.began();
    } else {
      const t = timeOf(event) - this.start;
      this.recording.add(t, place, "down");
      this.brush.move(t, place.x, place.y);
    }
  }

  move(event) {
    if (this.start === null || !event.isPrimary) return;
    for (const each of eventsIn(event)) {
      const place = this.view.at(each);
      const t = timeOf(each) - this.start;
      if (t < 0) continue;
      if (this.view.has(place)) this.brush.move(t, place.x, place.y);
      else this.brush.move(t);
      this.recording.add(t, place, "move");
    }
  }

  lift(event) {
    if (this.start === null || !event.isPrimary) return;
    const t = timeOf(event) - this.start;
    this.recording.add(t, this.view.at(event), "up");
    if (event.pointerType === "touch") this.brush.move(t); // a mouse goes on hovering
  }

  draw(stamp) {
    if (this.start === null) return true;
    const elapsed = Math.max(0, stamp - this.start);
    const bubbles = this.brush.advance(elapsed);
    for (const [t, x, y] of bubbles) this.recording.add(t, { x, y }, "bubble");
    this.drawBubbles(bubbles);
    this.ask();
    if (this.hasTime(elapsed)) return true;
    this.timeOver();
    return false;
  }

  async timeOver() {
    if (this.asking) await Promise.race([this.asking, sleep(LAST_GUESS_MS)]);
    this.finish("timeout", this.limit);
  }

  /** Asks the partner, once there are so many more bubbles, and never twice at a time. */
  ask() {
    const count = this.brush.bubbles.length;
    const every = this.given.settings.guess_every;
    if (!this.ports.partner || this.asking || Math.floor(count / every) <= this.asked) return;
    this.asked = Math.floor(count / every);
    const samples = this.recording.samples.filter((sample) => sample[3] === "bubble");
    const bubbles = samples.map(([t, x, y]) => [t, x, y]);
    this.asking = this.guess(bubbles).finally(() => (this.asking = null));
  }

  async guess(bubbles) {
    try {
      const { top, recognised } = await post("guess", { round: this.given.round, bubbles });
      this.ports.guessed(top.map(([name]) => name));
      if (recognised) this.finish("recognised", performance.now() - this.start);
    } catch {
      // the next guess sees more; a server that is away is told of when the round is over
    }
  }

  drawAll(image) {
    this.view.inOwnPixels();
    this.view.context.drawImage(this.view.layer(image), 0, 0);
    this.drawBubbles(this.brush.bubbles);
  }

  drawBubbles(bubbles) {
    if (!bubbles.length) return;
    const { context, scale } = this.view;
    const side = this.given.settings.bubble_px;
    this.view.inImagePixels();
    context.fillStyle = "rgba(255, 221, 87, 0.3)";
    for (const [, x, y] of bubbles) context.fillRect(x - side / 2, y - side / 2, side, side);
    const [, x, y] = bubbles.at(-1);
    this.mark.hidden = false;
    this.mark.style.width = this.mark.style.height = `${side * scale}px`;
    this.mark.style.transform = `translate(${(x - side / 2) * scale}px, ${(y - side / 2) * scale}px)`;
  }

  close() {
    super.close();
    this.mark.remove();
  }
}
