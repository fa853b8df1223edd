// The colours of the style sheet, for what is drawn and not styled.

const NAMES = [
  "ink",
  "ink-2",
  "ink-3",
  "line",
  "panel",
  "accent",
  "accent-soft",
  "second",
  "second-soft",
  "third",
  "third-soft",
  "level-0",
  "level-1",
  "level-2",
  "level-3",
  "critical",
  "normal",
  "batch",
];
let known = null;

/** The colours by name, as they are now: light or dark. */
export function colours() {
  if (known === null) {
    const style = getComputedStyle(document.documentElement);
    known = Object.fromEntries(
      NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
    );
  }
  return known;
}

/** Calls back when they have changed. */
export function onColours(call) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    known = null;
    call();
  });
}

export const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
