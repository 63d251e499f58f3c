// The graph of layers: one tab stop, arrows walk through the layers in the order they run.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Selection } from "./app";
import { legendOf } from "./colours";
import { milliseconds, percent } from "./format";
import { place, WIDTH } from "./graph";

const STEPS: Record<string, number> = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
const SCALES = [0.4, 0.6, 0.8, 1];

export function LayerGraph({ document: doc, selected, select, colours }: Selection) {
  const layout = useMemo(() => place(doc), [doc]);
  const most = useMemo(() => Math.max(...doc.layers.map((x) => x.share)), [doc]);
  const [scale, setScale] = useState(SCALES.length - 1);
  const pane = useRef<HTMLDivElement>(null);
  const current = selected ?? 0;

  function button(layer: number): HTMLElement | null {
    return pane.current?.querySelector(`[data-layer="${layer}"]`) ?? null;
  }

  function onKey(event: KeyboardEvent) {
    const step = STEPS[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const next = Math.min(Math.max(current + step, 0), doc.layers.length - 1);
    choose(next);
    button(next)?.focus({ preventScroll: true });
  }

  /** Select, and keep the graph in view: on a phone the panel covers the lower part. */
  function choose(layer: number) {
    select(layer);
    requestAnimationFrame(() => pane.current?.scrollIntoView({ block: "nearest" }));
  }

  useEffect(() => centre(pane.current, button(current), selected !== null), [selected, scale]);

  return (
    <section id="layers" aria-labelledby="layers-title">
      <h2 id="layers-title">Layers</h2>
      <p class="quiet">
        Choose a layer to see its arithmetic, its maps, its time and its algorithm; arrow keys walk through the layers. The bar in a
        layer is its share of the time, against the slowest.
      </p>
      <div class="legend">
        {legendOf(doc.layers, colours).map(([colour, name]) => (
          <span class={colour}>{name}</span>
        ))}
        <span class="zoom">
          <button type="button" aria-label="Smaller" disabled={scale === 0} onClick={() => setScale(scale - 1)}>
            −
          </button>
          <button type="button" aria-label="Larger" disabled={scale === SCALES.length - 1} onClick={() => setScale(scale + 1)}>
            +
          </button>
        </span>
      </div>
      <div class="graph" ref={pane} role="group" aria-label="Graph of layers" onKeyDown={onKey}>
        <div class="canvas" style={{ width: `${layout.width}px`, height: `${layout.height}px`, zoom: SCALES[scale] }}>
          <svg width={layout.width} height={layout.height} aria-hidden="true">
            {layout.paths.map((path, i) => (
              <path d={path} class={doc.edges[i]!.includes(selected ?? -1) ? "edge near" : "edge"} />
            ))}
          </svg>
          {layout.boxes.map((box, i) => {
            const layer = doc.layers[i];
            const style = { left: `${box.x}px`, top: `${box.y}px`, width: `${WIDTH}px`, height: `${box.height}px` };
            if (!layer) {
              const name = [...doc.inputs, ...doc.outputs][i - doc.layers.length];
              return (
                <div class="end" style={style} title={name}>
                  {name}
                </div>
              );
            }
            return (
              <button
                type="button"
                class={`layer ${colours[i]}`}
                style={style}
                data-layer={i}
                aria-pressed={i === selected}
                tabIndex={i === current ? 0 : -1}
                title={`${layer.name}: ${milliseconds(layer.ms)}, ${percent(layer.share)}`}
                onClick={() => choose(i)}
              >
                <span class="name" dir="rtl">
                  <bdi dir="ltr">{layer.name}</bdi>
                </span>
                <span class="kind">
                  {layer.operator} <span>{layer.output}</span>
                </span>
                <span class="share" style={{ width: `${(100 * layer.share) / (most || 1)}%` }} />
              </button>
            );
          })}
        </div>
      </div>
    </section>
  );
}

/** Scroll the pane, and nothing else, until an element of it is in the middle. */
function centre(pane: HTMLElement | null, element: HTMLElement | null, smooth: boolean) {
  if (!pane || !element) return;
  const box = element.getBoundingClientRect();
  const frame = pane.getBoundingClientRect();
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  pane.scrollBy({
    left: box.left + box.width / 2 - frame.left - frame.width / 2,
    top: smooth ? box.top + box.height / 2 - frame.top - frame.height / 2 : 0,
    behavior: smooth && !still ? "smooth" : "instant",
  });
}
