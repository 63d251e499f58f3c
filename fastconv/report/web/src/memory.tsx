// The arena over time: which tensor has which bytes, from the layer that writes it to the last that reads it.

import { scaleLinear } from "d3-scale";
import { useState } from "preact/hooks";
import type { Selection } from "./app";
import { BottomAxis, Chart, LeftAxis, MARGIN } from "./chart";
import type { Memory as MemoryData } from "./document";
import { bytes } from "./format";

const HEIGHT = 320;

export function Memory({ document: doc, selected, select, colours, memory }: Selection & { memory: MemoryData }) {
  const [at, setAt] = useState<number | null>(null);
  const count = doc.layers.length;
  const shown = memory.tenants[at ?? -1];
  return (
    <section id="memory" aria-labelledby="memory-title">
      <h2 id="memory-title">Memory</h2>
      <p class="quiet">
        The arena's {bytes(memory.bytes)} over the layers in the order they run. Each box is a tensor: from the layer that writes it
        to the last that reads it, at its place in the arena, in the colour of the layer that writes it.
      </p>
      <Chart label="The arena's tensors over time" height={HEIGHT}>
        {(width) => {
          const x = scaleLinear([0, count], [MARGIN.left, width - MARGIN.right]);
          const y = scaleLinear([0, memory.bytes], [HEIGHT - MARGIN.bottom, MARGIN.top]);
          return (
            <>
              <LeftAxis scale={y} ticks={y.ticks(5)} format={bytes} width={width} />
              <BottomAxis
                scale={(i) => x(i - 0.5)}
                ticks={x.ticks(Math.min(10, width / 60)).filter((i) => i >= 1 && Number.isInteger(i))}
                format={String}
                title="layer"
                width={width}
                height={HEIGHT}
              />
              {memory.tenants.map((t, i) => (
                <rect
                  x={x(t.first)}
                  width={x(Math.min(t.last + 1, count)) - x(t.first)}
                  y={y(t.offset + t.bytes)}
                  height={Math.max(y(t.offset) - y(t.offset + t.bytes), 1)}
                  class={`tenant ${colours[t.first]} ${i === at ? "selected" : ""}`}
                  onClick={() => select(t.first)}
                  onPointerEnter={() => setAt(i)}
                  onPointerLeave={() => setAt(null)}
                />
              ))}
              {selected !== null && (
                <rect x={x(selected)} width={x(1) - x(0)} y={MARGIN.top} height={HEIGHT - MARGIN.top - MARGIN.bottom} class="now" />
              )}
            </>
          );
        }}
      </Chart>
      <p class="readout">
        {shown
          ? `${shown.name}: ${bytes(shown.bytes)} at ${bytes(shown.offset)}, layers ${shown.first + 1} to ${Math.min(shown.last + 1, count)}`
          : selected !== null
            ? `At layer ${selected + 1}: ${bytes(alive(memory, selected))} of ${bytes(memory.bytes)} in use`
            : "\u00a0"}
      </p>
    </section>
  );
}

/** The bytes that tensors have while a layer runs. */
function alive(memory: MemoryData, layer: number): number {
  return memory.tenants.filter((t) => t.first <= layer && layer <= t.last).reduce((sum, t) => sum + t.bytes, 0);
}
