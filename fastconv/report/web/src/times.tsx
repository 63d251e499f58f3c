// The time of each layer, as a table with bars.

import { useState } from "preact/hooks";
import type { Selection } from "./app";
import { milliseconds, percent, rate } from "./format";

const FEW = 12;

export function Times({ document: doc, selected, select }: Selection) {
  const [all, setAll] = useState(false);
  const [slowestFirst, setSlowestFirst] = useState(true);
  const most = Math.max(...doc.layers.map((x) => x.share)) || 1;
  const order = doc.layers.map((_, i) => i);
  if (slowestFirst) order.sort((a, b) => doc.layers[b]!.ms - doc.layers[a]!.ms);
  const shown = all ? order : order.slice(0, FEW);
  return (
    <section id="times" aria-labelledby="times-title">
      <h2 id="times-title">Time</h2>
      <p>
        <button type="button" aria-pressed={slowestFirst} onClick={() => setSlowestFirst(!slowestFirst)}>
          Slowest first
        </button>
      </p>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">layer</th>
              <th scope="col" class="wide">
                operator
              </th>
              <th scope="col" class="wide">
                algorithm
              </th>
              <th scope="col" class="number">
                time
              </th>
              <th scope="col">share</th>
              <th scope="col" class="number wide">
                GFLOP/s
              </th>
              <th scope="col" class="wide">
                of its limit
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((i) => {
              const layer = doc.layers[i]!;
              return (
                <tr key={i} class={i === selected ? "selected" : ""}>
                  <th scope="row">
                    <button type="button" class="link" onClick={() => select(i)}>
                      {layer.name}
                    </button>
                  </th>
                  <td class="wide">{layer.operator}</td>
                  <td class="wide">{layer.implementation}</td>
                  <td class="number">{milliseconds(layer.ms)}</td>
                  <td class="bar">
                    <span class="bar" style={{ width: `${(60 * layer.share) / most}%` }} /> {percent(layer.share)}
                  </td>
                  <td class="number wide">{rate(layer)}</td>
                  <td class="wide">{layer.limit}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      {order.length > FEW && (
        <p>
          <button type="button" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? `Show ${FEW}` : `Show all ${order.length}`}
          </button>
        </p>
      )}
    </section>
  );
}
