// All that is known about the selected layer.

import { useEffect, useRef } from "preact/hooks";
import { Picture, type Selection } from "./app";
import type { Layer } from "./document";
import { bytes, milliseconds, percent, rate, scientific } from "./format";

export function LayerPanel({ document: doc, selected, select, close }: Selection & { selected: number; close: () => void }) {
  const layer = doc.layers[selected]!;
  const body = useRef<HTMLDivElement>(null);
  useEffect(() => body.current?.scrollTo(0, 0), [selected]);

  function onKey(event: KeyboardEvent) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step && doc.layers[selected + step]) select(selected + step);
  }

  return (
    <aside aria-labelledby="layer-title" onKeyDown={onKey}>
      <div class="panel-head">
        <button type="button" aria-label="Previous layer" disabled={selected === 0} onClick={() => select(selected - 1)}>
          ←
        </button>
        <span class="quiet">
          {selected + 1} of {doc.layers.length}
        </span>
        <button
          type="button"
          aria-label="Next layer"
          disabled={selected === doc.layers.length - 1}
          onClick={() => select(selected + 1)}
        >
          →
        </button>
        <button type="button" class="close" aria-label="Close" onClick={close}>
          ✕
        </button>
      </div>
      <div class="panel-body" ref={body}>
        <h2 id="layer-title" aria-live="polite">
          {layer.name}
        </h2>
        <p>
          {layer.operator}: {layer.input} → {layer.output}
        </p>
        {layer.explanation.length > 0 && (
          <>
            <h3>Arithmetic</h3>
            <pre>{layer.explanation.join("\n")}</pre>
          </>
        )}
        {layer.maps && (
          <>
            <h3>Maps</h3>
            <Picture picture={layer.maps} />
          </>
        )}
        <h3>Time</h3>
        <Facts facts={timeOf(layer)} />
        <h3>Algorithm</h3>
        <p>
          <strong>{layer.implementation || "not planned"}</strong>
          {layer.reason && `: ${layer.reason}`}
        </p>
        {layer.refusals.length > 0 && (
          <ul class="refusals">
            {layer.refusals.map(([name, reason]) => (
              <li>
                not <strong>{name}</strong>: {reason}
              </li>
            ))}
          </ul>
        )}
        {layer.error && (
          <>
            <h3>Accuracy</h3>
            {layer.error.departs && <p class="warning">The error is more than rounding explains.</p>}
            <Facts
              facts={[
                ["largest error", scientific(layer.error.max)],
                ["RMS error", scientific(layer.error.rms)],
                ["largest value", scientific(layer.error.largest)],
              ]}
            />
          </>
        )}
        {layer.facts.length > 0 && (
          <>
            <h3>Sizes</h3>
            <Facts facts={layer.facts} />
          </>
        )}
      </div>
    </aside>
  );
}

function timeOf(layer: Layer): [string, string][] {
  const facts: [string, string][] = [["time", `${milliseconds(layer.ms)}, ${percent(layer.share)} of the run`]];
  if (layer.flops) facts.push(["rate", `${rate(layer)} GFLOP/s`]);
  if (layer.bytes) facts.push(["moves", bytes(layer.bytes)]);
  if (layer.limit) facts.push(["reaches", layer.limit]);
  return facts;
}

function Facts({ facts }: { facts: [string, string][] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </>
      ))}
    </dl>
  );
}
