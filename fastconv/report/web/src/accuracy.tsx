// The error of each layer against its reference in float64, relative to the layer's largest value.

import { scaleLinear, scaleLog } from "d3-scale";
import { useState } from "preact/hooks";
import type { Selection } from "./app";
import { BottomAxis, Chart, LeftAxis, MARGIN, powers } from "./chart";
import { scientific } from "./format";

const HEIGHT = 280;
const FLOAT32 = 2 ** -23;

export function Accuracy({ document: doc, selected, select, colours }: Selection) {
  const [at, setAt] = useState<number | null>(null);
  const points = doc.layers.flatMap(({ error }, i) =>
    error ? [{ i, departs: error.departs, max: relative(error.max, error.largest), rms: relative(error.rms, error.largest) }] : [],
  );
  const positive = points.flatMap((p) => [p.max, p.rms]).filter((v) => v > 0 && v < Infinity);
  const low = Math.min(...positive, FLOAT32) / 2;
  const high = Math.max(...positive, FLOAT32) * 2;
  const departing = points.filter((p) => p.departs).length;
  const shown = points.find((p) => p.i === (at ?? selected));
  return (
    <section id="accuracy" aria-labelledby="accuracy-title">
      <h2 id="accuracy-title">Accuracy</h2>
      <p class="quiet">
        Each layer against the reference in float64: the largest error (filled) and the RMS error (ring), as a part of the layer's
        largest value. Exact layers are at the bottom. The line is float32's own step, 1.2e-7.
      </p>
      {departing > 0 && <p class="warning">{departing} layers, marked by a cross, have errors that rounding does not explain.</p>}
      <Chart label="Error of each layer" height={HEIGHT}>
        {(width) => {
          const x = scaleLinear([0, doc.layers.length], [MARGIN.left, width - MARGIN.right]);
          const y = scaleLog([low, high], [HEIGHT - MARGIN.bottom, MARGIN.top]);
          const up = (v: number) => y(Math.min(Math.max(v, low), high));
          return (
            <>
              <LeftAxis scale={y} ticks={powers(low, high)} format={scientific} width={width} />
              <BottomAxis
                scale={(i) => x(i - 0.5)}
                ticks={x.ticks(Math.min(10, width / 60)).filter((i) => i >= 1 && Number.isInteger(i))}
                format={String}
                title="layer"
                width={width}
                height={HEIGHT}
              />
              <line x1={MARGIN.left} x2={width - MARGIN.right} y1={y(FLOAT32)} y2={y(FLOAT32)} class="roof" />
              {points.map((p) => (
                <g
                  class={`mark ${colours[p.i]} ${p.i === selected ? "selected" : ""}`}
                  onClick={() => select(p.i)}
                  onPointerEnter={() => setAt(p.i)}
                  onPointerLeave={() => setAt(null)}
                >
                  <line x1={x(p.i + 0.5)} x2={x(p.i + 0.5)} y1={up(p.max)} y2={up(p.rms)} />
                  <circle cx={x(p.i + 0.5)} cy={up(p.max)} r={4} />
                  {p.departs && (
                    <text x={x(p.i + 0.5)} y={up(p.max)} dy="0.35em" text-anchor="middle">
                      ✕
                    </text>
                  )}
                  <circle cx={x(p.i + 0.5)} cy={up(p.rms)} r={3} class="ring" />
                </g>
              ))}
            </>
          );
        }}
      </Chart>
      <p class="readout">
        {shown ? `${doc.layers[shown.i]!.name}: largest ${scientific(shown.max)}, RMS ${scientific(shown.rms)}` : "\u00a0"}
      </p>
    </section>
  );
}

function relative(error: number | null, largest: number): number {
  return error === null ? Infinity : error / (largest || 1);
}
