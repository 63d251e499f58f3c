// The rate of each layer against the roof: this machine's peak and bandwidth.

import { scaleLog } from "d3-scale";
import { useState } from "preact/hooks";
import type { Selection } from "./app";
import { BottomAxis, Chart, LeftAxis, MARGIN, powers } from "./chart";
import type { Document } from "./document";
import { gflops, milliseconds, percent, rate } from "./format";

const HEIGHT = 340;

/** Whether any layer has a place in it. */
export function hasRoofline(document: Document): boolean {
  return pointsOf(document).length > 0;
}

export function Roofline({ document: doc, selected, select, colours }: Selection) {
  const [at, setAt] = useState<number | null>(null);
  const { peak } = doc;
  const points = pointsOf(doc);
  const ridge = peak.gflops / peak.gbytes;
  const left = Math.min(...points.map((p) => p.intensity), ridge / 4) / 1.5;
  const right = Math.max(...points.map((p) => p.intensity), ridge * 4) * 1.5;
  const bottom = Math.min(...points.map((p) => p.rate), peak.gflops / 20) / 1.5;
  const top = Math.max(...points.map((p) => p.rate), peak.gflops) * 1.5;
  const roof = (intensity: number) => Math.min(peak.gflops, peak.gbytes * intensity);
  const shown = doc.layers[at ?? selected ?? -1];
  return (
    <section id="roofline" aria-labelledby="roofline-title">
      <h2 id="roofline-title">Roofline</h2>
      <p class="quiet">
        GFLOP/s over floating-point operations per byte moved. The line is what this machine can do: {Math.round(peak.gflops)} GFLOP/s, and{" "}
        {Math.round(peak.gbytes)} GB/s from memory. Layers above it find their data in a cache, or multiply less than the definition.
        The area of a point is the layer's share of the time.
      </p>
      <Chart label="Roofline" height={HEIGHT}>
        {(width) => {
          const x = scaleLog([left, right], [MARGIN.left, width - MARGIN.right]);
          const y = scaleLog([bottom, top], [HEIGHT - MARGIN.bottom, MARGIN.top]);
          const line = [left, ridge, right].map((v) => `${x(v)},${y(Math.max(roof(v), bottom))}`).join(" ");
          return (
            <>
              <LeftAxis scale={y} ticks={powers(bottom, top)} format={String} width={width} />
              <BottomAxis scale={x} ticks={powers(left, right)} format={String} title="FLOP per byte" width={width} height={HEIGHT} />
              <polyline points={line} class="roof" />
              {points.map((p) => (
                <circle
                  cx={x(p.intensity)}
                  cy={y(p.rate)}
                  r={4 + 26 * Math.sqrt(p.layer.share / 4)}
                  class={`mark ${colours[p.i]} ${p.i === selected ? "selected" : ""}`}
                  onClick={() => select(p.i)}
                  onPointerEnter={() => setAt(p.i)}
                  onPointerLeave={() => setAt(null)}
                />
              ))}
            </>
          );
        }}
      </Chart>
      <p class="readout">
        {shown
          ? `${shown.name}: ${rate(shown) || 0} GFLOP/s, ${milliseconds(shown.ms)}, ${percent(shown.share)} of the time`
          : "\u00a0"}
      </p>
    </section>
  );
}

/** The layers that have operations, bytes and a time. */
function pointsOf(document: Document) {
  return document.layers.flatMap((layer, i) =>
    layer.flops && layer.bytes && layer.ms ? [{ i, layer, intensity: layer.flops / layer.bytes, rate: gflops(layer) }] : [],
  );
}
