// What the charts share: a width that follows the page, axes, and the line of text below the mouse.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

export const MARGIN = { top: 10, right: 12, bottom: 40, left: 60 };

interface ChartProps {
  label: string;
  height: number;
  children: (width: number) => ComponentChildren;
}

/** A drawing as wide as the page allows; `children` draws it for a width. */
export function Chart({ label, height, children }: ChartProps) {
  const frame = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry!.contentRect.width)));
    observer.observe(frame.current!);
    return () => observer.disconnect();
  }, []);
  return (
    <div ref={frame} style={{ height: `${height}px` }}>
      {width > 0 && (
        <svg width={width} height={height} role="group" aria-label={label}>
          {children(width)}
        </svg>
      )}
    </div>
  );
}

interface AxisProps {
  scale: (value: number) => number;
  ticks: number[];
  format: (value: number) => string;
  title: string;
}

/** The axis at the bottom: its ticks and title. */
export function BottomAxis({ scale, ticks, format, title, width, height }: AxisProps & { width: number; height: number }) {
  return (
    <g class="axis">
      {ticks.map((t) => (
        <text x={scale(t)} y={height - MARGIN.bottom + 16} text-anchor="middle">
          {format(t)}
        </text>
      ))}
      <text x={width - MARGIN.right} y={height - 4} text-anchor="end">
        {title}
      </text>
    </g>
  );
}

/** The axis at the left: ticks with lines across, and its title above. */
export function LeftAxis({ scale, ticks, format, width }: Omit<AxisProps, "title"> & { width: number }) {
  return (
    <g class="axis">
      {ticks.map((t) => (
        <>
          <line x1={MARGIN.left} x2={width - MARGIN.right} y1={scale(t)} y2={scale(t)} />
          <text x={MARGIN.left - 6} y={scale(t)} dy="0.32em" text-anchor="end">
            {format(t)}
          </text>
        </>
      ))}
    </g>
  );
}

/** The powers of ten between two numbers. */
export function powers(low: number, high: number): number[] {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const count = Math.floor(Math.log10(high) + 1e-9) - first + 1;
  return Array.from({ length: Math.max(count, 0) }, (_, i) => 10 ** (first + i));
}
