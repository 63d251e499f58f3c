// Colours by operator: the most frequent have one each, the same in the graph and in the charts.

import type { Layer } from "./document";

const COLOURS = 6;

/** The first operator of a layer, by which it is coloured. */
export function family(layer: Layer): string {
  return layer.operator.split("+", 1)[0]!;
}

/** The class of each layer. */
export function coloursOf(layers: Layer[]): string[] {
  const counts = new Map<string, number>();
  for (const name of layers.map(family)) counts.set(name, (counts.get(name) ?? 0) + 1);
  const names = [...counts.keys()].sort((a, b) => counts.get(b)! - counts.get(a)!).slice(0, COLOURS);
  return layers.map((layer) => (names.includes(family(layer)) ? `colour-${names.indexOf(family(layer))}` : "colour-none"));
}

/** The name that stands for each class. */
export function legendOf(layers: Layer[], colours: string[]): [string, string][] {
  const names = new Map<string, string>();
  layers.forEach((layer, i) => {
    const colour = colours[i]!;
    names.set(colour, colour === "colour-none" ? "others" : family(layer));
  });
  return [...names].sort(([a], [b]) => a.localeCompare(b));
}
