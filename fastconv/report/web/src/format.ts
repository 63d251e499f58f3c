// Numbers as text.

function digits(value: number): string {
  return value.toLocaleString("en", { maximumSignificantDigits: 3 });
}

export function milliseconds(ms: number): string {
  return ms < 1 ? `${digits(ms * 1e3)} µs` : `${digits(ms)} ms`;
}

export function bytes(count: number): string {
  if (count < 1e3) return `${count} B`;
  return count < 1e6 ? `${digits(count / 1e3)} kB` : `${digits(count / 1e6)} MB`;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

/** A count, rounded where it is large. */
export function count(value: number): string {
  if (value < 1e6) return value.toLocaleString("en");
  return value < 1e9 ? `${digits(value / 1e6)} million` : `${digits(value / 1e9)} billion`;
}

export function scientific(value: number | null): string {
  if (value === null || value === Infinity) return "infinite";
  if (value >= 0.01 && value < 1e5) return digits(value);
  return value === 0 ? "0" : value.toExponential(1).replace("e+", "e");
}

interface Work {
  flops: number;
  ms: number;
}

export function gflops(work: Work): number {
  return work.ms ? work.flops / work.ms / 1e6 : 0;
}

/** GFLOP/s, or nothing for no operations. */
export function rate(work: Work): string {
  return work.flops ? digits(gflops(work)) : "";
}
