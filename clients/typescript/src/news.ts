/** Events that came and were not read yet. */

import type { Frame } from "./frames.js";

// Who reads more slowly than they come is told `lagged`, as the daemon would tell it.
const UNREAD_MAX = 10_000;

export class News {
  readonly #unread: Frame[] = [];
  #missed = 0;
  #failure: { problem: unknown } | undefined;
  #wake: () => void = () => {};

  push(event: Frame): void {
    if (this.#unread.length >= UNREAD_MAX) this.#missed += 1;
    else this.#unread.push(event);
    this.#wake();
  }

  /** No more will come. What came before is still to be read. */
  end(problem: unknown): void {
    this.#failure ??= { problem };
    this.#wake();
  }

  /** The next event; throws what ended them. */
  async next(): Promise<Frame> {
    for (;;) {
      const event = this.#unread.shift();
      if (event !== undefined) return event;
      if (this.#missed > 0) {
        const missed = this.#missed;
        this.#missed = 0;
        return { event: "lagged", missed };
      }
      if (this.#failure !== undefined) throw this.#failure.problem;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
