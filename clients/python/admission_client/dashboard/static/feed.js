// What the page is told: server-sent events, each the whole of what it is about. A connection that
// breaks is made again; what came before stays on the page meanwhile.

const PARTS = ["state", "level", "sample", "leases", "queue", "why", "orphans", "recommendations"];
// The machine is looked at every 30 s at least: where nothing comes for so long, the connection is dead.
const SILENCE_MS = 75_000;
const AGAIN_MS = 2_000;

export class Feed {
  /**
   * `onPart(name, value)` hears each part, `hello` too; `onConnection(state, since, why)` how it stands:
   * `live`, `away` (no daemon), `lost` (nobody serves this page) or `refused` (it was opened anew elsewhere).
   */
  constructor(onPart, onConnection) {
    this.onPart = onPart;
    this.onConnection = onConnection;
    this.lostAt = null;
    this.heardAt = Date.now();
    this.again = null;
    this.isRefused = false;
    this.#open();
    setInterval(() => this.#mindSilence(), 5_000);
  }

  #open() {
    this.again = null;
    this.source?.close();
    const source = (this.source = new EventSource("/events"));
    const hear = (name, call) =>
      source.addEventListener(name, (event) => {
        this.heardAt = Date.now();
        call(JSON.parse(event.data));
      });
    for (const name of PARTS) hear(name, (value) => measured(name, () => this.onPart(name, value)));
    hear("hello", (value) => {
      this.lostAt = null;
      this.isRefused = false;
      this.onPart("hello", value);
    });
    hear("back", () => this.onConnection("live", null, ""));
    hear("away", ({ since, why }) => this.onConnection("away", since, why));
    source.addEventListener("error", () => this.#lost(source));
  }

  async #lost(source) {
    if (source !== this.source) return;
    this.lostAt ??= Date.now() / 1000;
    this.onConnection(this.isRefused ? "refused" : "lost", this.lostAt, "");
    // The browser tries again by itself, but not after an answer that is no stream.
    if (source.readyState !== EventSource.CLOSED || this.again !== null) return;
    this.again = setTimeout(() => this.#open(), AGAIN_MS);
    try {
      const answer = await fetch("/tasks?since_s=1");
      this.isRefused = answer.status === 403;
      if (this.isRefused && this.lostAt) this.onConnection("refused", this.lostAt, "");
    } catch {
      // Nobody serves: it is lost, as was said.
    }
  }

  #mindSilence() {
    if (Date.now() - this.heardAt < SILENCE_MS) return;
    this.heardAt = Date.now();
    this.lostAt ??= Date.now() / 1000;
    this.onConnection("lost", this.lostAt, "");
    this.#open();
  }
}

/** Does it, and leaves its time to whoever observes measures. */
export function measured(name, work) {
  const start = performance.now();
  work();
  performance.measure(`update:${name}`, { start });
  performance.clearMeasures(`update:${name}`);
}
