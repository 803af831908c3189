// The round of BubbleView (Kim et al. 2017): each click shows a disc of a blurred image sharply.

import { eachFrame } from "./frames.js";
import { Recording } from "./record.js";
import { timeOf } from "./view.js";

const LAST_LOOK_MS = 1500; // after the last click

/** One round; `images` are the sharp and the blurred one, `ports` as in `paint`. */
export async function peek(view, given, images, ports) {
  const round = new Peeking(view, given, images, ports);
  try {
    return await round.end;
  } finally {
    round.close();
  }
}

class Peeking {
  constructor(view, given, [sharp, blurred], ports) {
    Object.assign(this, { view, given, ports });
    this.limit = given.settings.seconds * 1000;
    this.recording = new Recording();
    this.start = null;
    this.clicks = [];
    view.redraw = () => {
      this.layers = [view.layer(sharp), view.layer(blurred)];
      this.drawDisc();
    };
    view.redraw();
    this.end = new Promise((resolve) => (this.resolve = resolve));
    ports.stopped.then((outcome) => this.finish(outcome));
    this.down = (event) => this.click(event);
    view.canvas.addEventListener("pointerdown", this.down, { passive: true });
    this.stop = eachFrame((stamp) => this.draw(stamp));
    ports.began();
  }

  click(event) {
    const { clicks } = this.given.settings;
    if (this.start === null || !event.isPrimary || this.clicks.length >= clicks) return;
    const place = this.view.at(event);
    this.recording.pointer = event.pointerType || "mouse";
    this.recording.add(timeOf(event) - this.start, place, "click");
    this.clicks.push(place);
    this.drawDisc();
    this.ports.clicked(clicks - this.clicks.length);
    if (this.clicks.length === clicks) {
      this.limit = Math.min(this.limit, performance.now() - this.start + LAST_LOOK_MS);
    }
  }

  drawDisc() {
    const { context } = this.view;
    const [sharp, blurred] = this.layers;
    this.view.inOwnPixels();
    context.drawImage(blurred, 0, 0);
    const last = this.clicks.at(-1);
    if (!last) return;
    this.view.inImagePixels();
    context.save();
    context.beginPath();
    context.arc(last.x, last.y, this.given.settings.radius_px, 0, 2 * Math.PI);
    context.clip();
    this.view.inOwnPixels();
    context.drawImage(sharp, 0, 0);
    context.restore();
  }

  draw(stamp) {
    this.recording.frames.add(stamp);
    this.start ??= stamp; // the frame with the image
    const elapsed = stamp - this.start;
    this.ports.left(Math.max(0, 1 - elapsed / this.limit), (this.limit - elapsed) / 1000);
    if (elapsed < this.limit) return true;
    this.finish("done");
    return false;
  }

  finish(outcome) {
    const duration = this.start === null ? 0 : performance.now() - this.start;
    const shown = this.view.shown();
    if (outcome === null) this.resolve(null);
    else this.resolve({ ...this.recording.finished(outcome, duration), ...shown });
  }

  close() {
    this.stop();
    this.recording.close();
    this.view.canvas.removeEventListener("pointerdown", this.down);
  }
}
