// The round of BubbleView (Kim et al. 2017): each click shows a disc of a blurred image sharply.

import { Round } from "./round.js";
import { timeOf } from "./view.js";

const LAST_LOOK_MS = 1500; // after the last click

/** One round; `images` are the sharp and the blurred one. */
export const peek = (view, given, images, ports) =>
  new Peeking(view, given, images, ports).played();

class Peeking extends Round {
  constructor(view, given, [sharp, blurred], ports) {
    super(view, given, ports);
    this.clicks = [];
    const redraw = () => {
      this.layers = [view.layer(sharp), view.layer(blurred)];
      this.drawDisc();
    };
    this.begin(redraw, { pointerdown: (event) => this.click(event) }, view.canvas);
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
    this.start ??= stamp;
    if (this.hasTime(stamp - this.start)) return true;
    this.finish("done");
    return false;
  }
}
