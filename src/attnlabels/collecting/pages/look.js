// The round of SALICON (Jiang et al. 2015): sharp around the pointer, blurred with the distance.

import { Round } from "./round.js";
import { eventsIn, timeOf } from "./view.js";

const REACH = [1, 2, 4]; // radii within which each level is full: sharp, then less and less so
const FADE = 1.5; // times its reach, where a level has faded out

/** One round; `images` from the sharp one to the one that is blurred most. */
export const look = (view, given, images, ports) =>
  new Looking(view, given, images, ports).played();

class Looking extends Round {
  constructor(view, given, images, ports) {
    super(view, given, ports);
    this.place = null;
    this.faded = document.createElement("canvas").getContext("2d");
    const redraw = () => {
      this.layers = images.map((image) => view.layer(image));
      this.faded.canvas.width = view.canvas.width;
      this.faded.canvas.height = view.canvas.height;
      this.drawn = undefined;
      this.drawAround();
    };
    const heard = (event) => this.move(event);
    this.begin(redraw, { pointerdown: heard, pointermove: heard });
    ports.began();
  }

  move(event) {
    if (this.start === null || !event.isPrimary) return;
    for (const each of eventsIn(event)) {
      const place = this.view.at(each);
      const t = timeOf(each) - this.start;
      if (t < 0) continue;
      this.place = this.view.has(place) ? place : null;
      if (this.place) {
        this.recording.pointer = event.pointerType || "mouse";
        this.recording.add(t, place, "move");
      }
    }
  }

  draw(stamp) {
    this.start ??= stamp;
    this.drawAround();
    if (this.hasTime(stamp - this.start)) return true;
    this.finish("done");
    return false;
  }

  /** Draws what changed: the blurred image where it was sharp, and what is around the pointer now. */
  drawAround() {
    if (this.drawn === this.place) return;
    const { context, canvas } = this.view;
    const blurred = this.layers.at(-1);
    this.view.inOwnPixels();
    const [left, top, width, height] =
      this.drawn === undefined ? [0, 0, canvas.width, canvas.height] : this.part(this.drawn);
    if (width > 0 && height > 0) {
      context.drawImage(blurred, left, top, width, height, left, top, width, height);
    }
    this.drawn = this.place;
    if (!this.place) return;
    for (let level = this.layers.length - 2; level >= 0; level -= 1) this.drawLevel(level);
  }

  /** Left, top, width and height of what is on the canvas of a level's square around a place. */
  part(place, level = this.layers.length - 2) {
    if (!place) return [0, 0, 0, 0];
    const { canvas, width } = this.view;
    const zoom = canvas.width / width;
    const far = REACH[level] * this.given.settings.radius_px * zoom * FADE;
    const left = Math.max(0, Math.floor(place.x * zoom - far));
    const top = Math.max(0, Math.floor(place.y * zoom - far));
    return [
      left,
      top,
      Math.min(canvas.width, Math.ceil(place.x * zoom + far)) - left,
      Math.min(canvas.height, Math.ceil(place.y * zoom + far)) - top,
    ];
  }

  /** A level within its reach of the pointer, fading out beyond; no more than is on the canvas. */
  drawLevel(level) {
    const [left, top, width, height] = this.part(this.place, level);
    if (width <= 0 || height <= 0) return;
    const zoom = this.view.canvas.width / this.view.width;
    const full = REACH[level] * this.given.settings.radius_px * zoom;
    const context = this.faded;
    context.save();
    context.beginPath();
    context.rect(0, 0, width, height);
    context.clip(); // what follows works on all of a canvas else, empty or not
    context.globalCompositeOperation = "copy";
    context.drawImage(this.layers[level], left, top, width, height, 0, 0, width, height);
    const [a, b] = [this.place.x * zoom - left, this.place.y * zoom - top];
    const fading = context.createRadialGradient(a, b, full, a, b, full * FADE);
    fading.addColorStop(0, "#000f");
    fading.addColorStop(1, "#0000");
    context.globalCompositeOperation = "destination-in";
    context.fillStyle = fading;
    context.fillRect(0, 0, width, height);
    context.restore();
    this.view.context.drawImage(context.canvas, 0, 0, width, height, left, top, width, height);
  }
}
