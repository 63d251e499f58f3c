// Places of the graph's nodes, from top to bottom.

import { Graph, layout } from "@dagrejs/dagre";
import type { Document } from "./document";

export const WIDTH = 208;
export const HEIGHT = 52;
const END_HEIGHT = 30;

export interface Box {
  x: number;
  y: number;
  height: number;
}

export interface Layout {
  width: number;
  height: number;
  boxes: Box[];
  /** A path in SVG's notation for each edge. */
  paths: string[];
}

export function place(document: Document): Layout {
  const graph = new Graph({ multigraph: false });
  graph.setGraph({ rankdir: "TB", nodesep: 20, ranksep: 26, edgesep: 12, marginx: 12, marginy: 12 });
  graph.setDefaultEdgeLabel(() => ({}));
  const layers = document.layers.length;
  const count = layers + document.inputs.length + document.outputs.length;
  for (let i = 0; i < count; i++) {
    graph.setNode(String(i), { width: WIDTH, height: i < layers ? HEIGHT : END_HEIGHT });
  }
  for (const [from, to] of document.edges) graph.setEdge(String(from), String(to));
  layout(graph);
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  const boxes = Array.from({ length: count }, (_, i) => {
    const node = graph.node(String(i)) as { x: number; y: number; height: number };
    return { x: node.x - WIDTH / 2, y: node.y - node.height / 2, height: node.height };
  });
  const paths = document.edges.map(([from, to]) => {
    const edge = graph.edge(String(from), String(to)) as { points: { x: number; y: number }[] };
    return curve(edge.points);
  });
  return { width, height, boxes, paths };
}

/** A smooth path: through the middle of each segment, with the points themselves as the curves' handles. */
function curve(points: { x: number; y: number }[]): string {
  const text = (x: number, y: number) => `${x.toFixed(1)},${y.toFixed(1)}`;
  const [first, ...rest] = points;
  if (!first) return "";
  let path = `M${text(first.x, first.y)}`;
  rest.forEach((p, i) => {
    const next = rest[i + 1];
    path += next ? `Q${text(p.x, p.y)} ${text((p.x + next.x) / 2, (p.y + next.y) / 2)}` : `L${text(p.x, p.y)}`;
  });
  return path;
}
